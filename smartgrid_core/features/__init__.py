"""Features: what a model may know about an hour at the moment it forecasts."""
