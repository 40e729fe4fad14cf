"""What every forecaster promises, and what a served one shows of itself besides."""

from collections.abc import Sequence
from typing import Any, Protocol, Self, runtime_checkable

import polars as pl

QUANTILES = (0.1, 0.5, 0.9)
"""P10, P50, P90: the band that operators read and its middle."""

MEDIAN = 0.5
"""The one of QUANTILES that is never moved when the band is calibrated."""


class Forecaster(Protocol):
    """Learns from rows of `LoadFeatures` and answers quantiles for others."""

    name: str
    """Its row on the leaderboard."""

    def fit(self, features: pl.DataFrame) -> Self:
        """Learn from rows whose `load_kw` is known. Rows of several series train one model."""
        ...

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return columns p10 <= p50 <= p90, Float64, in the series' unit; one row per row given."""
        ...


@runtime_checkable
class ServableForecaster(Forecaster, Protocol):
    """A forecaster that needs nothing but numeric features of the row, so that it can be served."""

    settings: Any
    """A dataclass of how it learns; written down with every training."""

    feature_names: Sequence[str]
    """Inputs of the served signature, in order: float32 (batch,), NaN where unknown."""
