"""What is wrong with the readings, in one table."""
