"""What the grid is: contracts, units, time and pure functions. No Dagster, no store."""
