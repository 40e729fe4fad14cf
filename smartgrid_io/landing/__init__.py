"""Files into the warehouse: recognised, read in blocks, judged row by row, loaded once."""
