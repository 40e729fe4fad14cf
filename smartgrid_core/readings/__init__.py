"""Raw readings judged and mended: validation, estimation and editing (VEE)."""
