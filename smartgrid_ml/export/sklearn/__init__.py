"""Pipelines and models of scikit-learn as TensorFlow operations.

`exportable` says which function makes which.
"""
