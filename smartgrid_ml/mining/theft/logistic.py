"""Logistic regression whose weights have lower bounds, so that more evidence never acquits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smartgrid_core.arrays import F64

PENALTY = 1e-3
"""Keeps weights finite where a few meters are separated without an error."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """log-odds = `intercept` + sum over columns of `weights` * x."""

    weights: F64
    """One per column, (n_columns,), not below the bounds of the fit."""
    intercept: float

    @classmethod
    def fit(cls, x: F64, y: F64, *, weight: F64, least: Sequence[float]) -> "Logistic":
        """Return the weighted maximum likelihood, penalised by PENALTY on standardised weights.

        Args:
            x: Evidence, (n, n_columns).
            y: 1 for a theft, 0 for an innocent, (n,).
            weight: How much each row counts, (n,), positive.
            least: The smallest weight of each column.
        """
        from scipy.optimize import minimize

        share = weight / weight.sum()
        mean = share @ x
        size = np.sqrt(share @ (x - mean) ** 2) + 1e-9
        standard = (x - mean) / size

        def compute_loss(values: F64) -> tuple[float, F64]:
            odds = values[0] + standard @ values[1:]
            error = share * (1 / (1 + np.exp(-odds)) - y)
            likelihood = share @ (np.logaddexp(0, odds) - y * odds)
            slope = np.concatenate([[error.sum()], standard.T @ error + 2 * PENALTY * values[1:]])
            return float(likelihood + PENALTY * (values[1:] ** 2).sum()), slope

        start = np.array([0.0, *least * size])
        bounds = [(None, None), *((low * of, None) for low, of in zip(least, size, strict=True))]
        optimum = minimize(compute_loss, start, jac=True, bounds=bounds).x
        weights = optimum[1:] / size
        return cls(weights, float(optimum[0] - weights @ mean))

    def log_odds(self, x: F64) -> F64:
        """Return the log-odds of rows (n, n_columns), at even odds, (n,)."""
        odds: F64 = self.intercept + x @ self.weights
        return odds
