"""One file per command: what it asks, calls and shows."""
