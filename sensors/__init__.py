"""Poll, a pure decision, a RunRequest."""
