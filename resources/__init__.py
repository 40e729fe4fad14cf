"""Dagster handles on smartgrid_io."""
