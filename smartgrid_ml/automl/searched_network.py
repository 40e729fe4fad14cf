"""A straight line and what searched networks add to it: plain arrays, plausible everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smartgrid_core.arrays import F64
from smartgrid_ml.forecasting.layer_graph import LayerGraph
from smartgrid_ml.forecasting.standardising import standardise_inputs

RIDGE = 1e-3
"""Penalty of the line, per row and standard deviation of an input."""

BEYOND = 0.25
"""Answers may leave the range of the targets learned from by this share of its width."""


@dataclass(frozen=True, slots=True)
class SearchedNetwork:
    """A regressor of inputs, float64 (rows, features), NaN where unknown.

    How it answers, which is all that an export has to repeat:

    1. inputs are standardised, (x - input_mean) / input_std, cut at +-STANDARD_LIMIT; unknown
       becomes 0;
    2. the line, inputs @ slopes + intercept, is one part of the answer;
    3. the mean of `networks` of the same inputs, times `residual_std`, is the other;
    4. their sum is cut at `bounds`.

    A network extrapolates without limit where its inputs leave what it was trained on, and a
    library that searches for one may hand it out half trained; 1 and 4 keep that from being seen.
    """

    input_mean: F64
    input_std: F64
    slopes: F64
    intercept: float
    residual_std: float
    bounds: tuple[float, float]
    networks: Sequence[LayerGraph]
    """Of one architecture, trained from different seeds."""

    def predict(self, inputs: F64) -> F64:
        """One number per row, (rows,)."""
        known = standardise_inputs(inputs, mean=self.input_mean, std=self.input_std)
        line = known @ self.slopes + self.intercept
        added = sum(network.predict(known) for network in self.networks) / len(self.networks)
        return np.clip(line + added * self.residual_std, *self.bounds)


def compute_bounds(target: F64) -> tuple[float, float]:
    """The least and the most that is answered."""
    least, most = float(target.min()), float(target.max())
    beyond = BEYOND * (most - least)
    # A load that is never negative is not forecast to be.
    return (max(0.0, least - beyond) if least >= 0 else least - beyond), most + beyond
