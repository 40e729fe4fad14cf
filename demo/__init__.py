"""The demo grid: a small public benchmark grid with a year of profiles, and its planted faults."""
