"""Pipelines and models of scikit-learn as TensorFlow operations.

The tables of `export.exportable` name the function of each class.
"""
