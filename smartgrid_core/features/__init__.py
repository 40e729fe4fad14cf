"""Features: what a model may know. `load`, `profiles` and `events` are the ways in."""
