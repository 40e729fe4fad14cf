"""Inputs in standard deviations, and the line through them: what networks start from."""

import numpy as np

from smartgrid_core.arrays import F64

STANDARD_LIMIT = 8.0
"""Standard deviations at which an input is cut off: the network never saw farther ones."""


def compute_moments(inputs: F64) -> tuple[F64, F64]:
    """Return mean and standard deviation of each column's known values, (columns,) each.

    A column without any known value has mean 0; one that does not vary has deviation 1.

    >>> compute_moments(np.array([[1.0, 5.0], [3.0, np.nan]]))
    (array([2., 5.]), array([1., 1.]))
    """
    is_known = np.isfinite(inputs)
    count = np.maximum(is_known.sum(axis=0), 1)
    mean = np.where(is_known, inputs, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(is_known, inputs - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.where(spread > 1e-9, spread, 1.0)


def standardise_inputs(inputs: F64, *, mean: F64, std: F64) -> F64:
    """Return standard deviations from the mean, (rows, columns).

    They are cut at +-STANDARD_LIMIT; an unknown input is 0.
    """
    standard = (inputs - mean) / std
    return np.where(np.isnan(standard), 0.0, np.clip(standard, -STANDARD_LIMIT, STANDARD_LIMIT))


def fit_ridge_line(inputs: F64, target: F64, *, penalty: float) -> tuple[F64, float]:
    """Return slopes (columns,) and intercept of a ridge regression; `penalty` is per row."""
    extended = np.column_stack([inputs, np.ones(len(inputs))])
    ridge = penalty * len(inputs) * np.eye(extended.shape[1])
    weights = np.linalg.solve(extended.T @ extended + ridge, extended.T @ target)
    return np.asarray(weights[:-1], np.float64), float(weights[-1])
