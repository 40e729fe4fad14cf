"""Inputs in standard deviations, and the line through them: what networks start from."""

import numpy as np

from smartgrid_ml.forecasting.scaling import FloatArray

STANDARD_LIMIT = 8.0
"""Standard deviations at which an input is cut off: the network never saw farther ones."""


def compute_moments(inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each column's known values; 0 and 1 where none varies."""
    known = np.isfinite(inputs)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, inputs, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, inputs - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.where(spread > 1e-9, spread, 1.0)


def standardise_inputs(inputs: FloatArray, *, mean: FloatArray, std: FloatArray) -> FloatArray:
    """Standard deviations from the mean, cut at +-FARTHEST, 0 where unknown: (rows, columns)."""
    standard = (inputs - mean) / std
    return np.where(np.isnan(standard), 0.0, np.clip(standard, -STANDARD_LIMIT, STANDARD_LIMIT))


def fit_ridge_line(
    inputs: FloatArray, target: FloatArray, *, penalty: float
) -> tuple[FloatArray, float]:
    """Slopes (columns,) and intercept of a ridge regression; `penalty` is per row."""
    extended = np.column_stack([inputs, np.ones(len(inputs))])
    ridge = penalty * len(inputs) * np.eye(extended.shape[1])
    weights = np.linalg.solve(extended.T @ extended + ridge, extended.T @ target)
    return np.asarray(weights[:-1], np.float64), float(weights[-1])
