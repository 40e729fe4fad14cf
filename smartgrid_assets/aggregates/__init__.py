"""Hourly and daily truth, made from the lake's readings."""
