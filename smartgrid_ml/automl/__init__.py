"""Searches for models: all engines get the same rows, the same folds and the same budget.

Ways in: `forecaster` for a forecaster that searches, `search` for a search alone. `engine` is the
protocol; `autokeras`, `tpot` and `h2o` implement it.
"""
