"""Which models there are, how well they do, and which one answers."""
