"""Tree ensembles as TensorFlow operations.

`tree` is one tree, `ensemble` all of them together; `lightgbm` and `xgboost` read their libraries.
"""
