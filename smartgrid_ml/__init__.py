"""What learns: forecasters, their evaluation and export. Imports neither Dagster nor a store."""
