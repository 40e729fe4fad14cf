"""One dataframely Schema per table: key, dtype, range; units and grain in the docstring."""
