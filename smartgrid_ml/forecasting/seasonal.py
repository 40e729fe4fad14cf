"""The seasonal empirical row: what this hour of such a day has been, in units of the level."""

from typing import Self

import polars as pl

from smartgrid_core.features.load import SCALE
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.forecasting.naive import FALLBACKS, select_slot_columns
from smartgrid_ml.forecasting.protocol import QUANTILES
from smartgrid_ml.forecasting.scaling import TARGET

FEWEST_LOADS = 8
"""Past loads below which an hour borrows those of the whole day: a decile of fewer is noise."""

SLOT_GROUPS = (["feeder_id", "is_weekend", "hour"], ["feeder_id", "is_weekend"], ["feeder_id"])
"""Asked in this order."""


class SeasonalEmpirical:
    """P10, P50, P90 of the known loads of the same series, kind of day and whole hour.

    Loads are divided by the series' level of their time and multiplied by that of the forecast.
    Kinds of day are weekends and other days. Where fewer than FEWEST are known the whole kind of
    day stands in, then everything of the series.
    """

    name = "seasonal_empirical"

    def __init__(self) -> None:
        self._levels: list[tuple[list[str], pl.DataFrame]] = []

    def fit(self, features: pl.DataFrame) -> Self:
        """Learn from rows whose load and level are known."""
        rows = features.select(
            *select_slot_columns(), share=pl.col(TARGET) / pl.col(SCALE)
        ).drop_nulls("share")
        self._levels = []
        for keys in SLOT_GROUPS:
            quantiles = [
                pl.col("share").quantile(quantile, "linear").alias(name)
                for name, quantile in zip(OUTPUTS, QUANTILES, strict=True)
            ]
            known = rows.group_by(keys).agg(*quantiles, n=pl.len())
            enough = (pl.col("n") >= FEWEST_LOADS) | (keys == SLOT_GROUPS[-1])
            self._levels.append((keys, known.filter(enough).drop("n")))
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return columns p10 <= p50 <= p90 in the unit of the load; null where nothing is known.

        Where the level or the series is not, the last known load of that time stands in.
        """
        past = [name for name in FALLBACKS if name in features.columns]
        rows = features.select(*select_slot_columns(), SCALE, past=pl.coalesce(past))
        for at, (keys, known) in enumerate(self._levels):
            named = known.rename({name: f"{name}_{at}" for name in OUTPUTS})
            rows = rows.join(named, on=keys, how="left", maintain_order="left")
        shares = {
            name: pl.coalesce(f"{name}_{at}" for at in range(len(self._levels))) for name in OUTPUTS
        }
        return rows.select(
            pl.coalesce(quantile * pl.col(SCALE), "past").alias(name)
            for name, quantile in shares.items()
        )
