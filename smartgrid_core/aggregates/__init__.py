"""Hourly and daily figures, written once as narwhals expressions: Polars or Spark run them."""
