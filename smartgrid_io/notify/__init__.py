"""Ways to people, one channel per file."""
