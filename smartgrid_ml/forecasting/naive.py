"""Naive rows: a past load repeated, with a band from its own past errors."""

from collections.abc import Sequence
from typing import Self

import polars as pl

from smartgrid_core.features.load import SCALE
from smartgrid_ml.forecasting.protocol import QUANTILES

FALLBACKS = (
    *(f"same_hour_{days}d_kw" for days in (1, 2, 3, 4, 5, 6, 7)),
    "same_hour_mean_28d_kw",
    SCALE,
)
"""Asked in this order where the past load that a naive row repeats is missing."""


class NaiveForecaster:
    """Repeats a past load as P50; P10 and P90 add empirical quantiles of its past errors.

    Errors are taken in units of the series' level, per series, weekend or not, and whole hour of
    the day. P50 is never moved: a naive row stays the row that everybody knows.
    """

    def __init__(self, name: str, *, repeats: Sequence[str]) -> None:
        self.name = name
        self._point = pl.coalesce(
            [pl.mean_horizontal(*repeats), *(pl.col(column) for column in FALLBACKS)]
        )
        self._errors = pl.DataFrame()

    def fit(self, features: pl.DataFrame) -> Self:
        """Learn the errors from rows whose `load_kw` is known."""
        error = (pl.col("load_kw") - self._point) / pl.col(SCALE)
        self._errors = (
            features.select(*select_slot_columns(), error=error)
            .drop_nulls("error")
            .group_by("feeder_id", "is_weekend", "hour")
            .agg(
                below=pl.col("error").quantile(QUANTILES[0], "linear"),
                above=pl.col("error").quantile(QUANTILES[-1], "linear"),
            )
        )
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return columns p10 <= p50 <= p90 in the unit of the load; null where nothing is known."""
        p50 = pl.col("p50")
        below = (pl.col("below") * pl.col(SCALE)).clip(upper_bound=0)
        above = (pl.col("above") * pl.col(SCALE)).clip(lower_bound=0)
        rows = features.select(*select_slot_columns(), SCALE, p50=self._point)
        banded = rows.join(
            self._errors,
            on=["feeder_id", "is_weekend", "hour"],
            how="left",
            maintain_order="left",
        )
        return banded.select(p10=p50 + below.fill_null(0), p50=p50, p90=p50 + above.fill_null(0))


def select_slot_columns() -> list[pl.Expr]:
    """Return the key of past errors: series, weekend or not, and whole hour of the day.

    Columns feeder_id, is_weekend, hour; of a table with rows of `LoadFeatures`.
    """
    return [
        pl.col("feeder_id"),
        pl.col("is_weekend"),
        pl.col("hour_of_day").floor().alias("hour"),
    ]
