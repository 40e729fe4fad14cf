"""The REST side: paths, JSON in, JSON out."""
