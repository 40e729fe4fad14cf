"""From forecasts to what needs a person."""
