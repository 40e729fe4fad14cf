"""Raw readings, copied day by day from the operational store into the lake."""
