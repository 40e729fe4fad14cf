"""What the served model says about the day ahead."""
