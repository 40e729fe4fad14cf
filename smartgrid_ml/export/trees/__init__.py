"""Tree ensembles as TensorFlow operations.

`ensemble` for all, with the readers of LightGBM and XGBoost.
"""
