"""How likely a forecast load is to cross a rating."""

import polars as pl

from smartgrid_core.contracts.alerts import LimitExceedances
from smartgrid_core.rollout.labels import OUTPUTS

Z90 = 1.2815515655446004
"""The standard normal's P90."""

FLOOR_PROBABILITY = 0.05
"""A rarer exceedance is not worth a row."""


def find_limit_exceedances(
    forecast: pl.DataFrame | pl.LazyFrame,
    *,
    ratings: pl.DataFrame | pl.LazyFrame,
    floor_probability: float = FLOOR_PROBABILITY,
) -> pl.DataFrame:
    """Return the rows of `LimitExceedances` with at least `floor_probability`, ordered by key.

    `forecast` has rows of `LoadForecasts`; `ratings` has feeder_id and rating_kw, one row per
    feeder. A feeder without a rating has no row.
    """
    rated = forecast.lazy().join(ratings.lazy(), on="feeder_id", how="inner").collect()
    probable = (
        rated.with_columns(probability=compute_exceedance_probability(rated))
        .filter(pl.col("probability") >= floor_probability)
        .rename({"p50": "p50_kw", "p90": "p90_kw"})
        .select(LimitExceedances.column_names())
        .sort(LimitExceedances.primary_key())
    )
    return LimitExceedances.validate(probable, cast=True)


def compute_exceedance_probability(rated: pl.DataFrame) -> pl.Series:
    """Return the probability that the load exceeds its rating: Float64 (n_rows,), 0 to 1.

    `rated` has columns p10, p50, p90 and rating_kw, all kW.

    The load's distribution is two halves of normal distributions that meet at P50: the lower one
    has the deviation (P50 - P10) / z, the upper one (P90 - P50) / z, with z the standard normal's
    P90. It is the split-normal idea (A. John, The three-parameter two-piece normal family of
    distributions and its fitting, 1982) joined at the median, so that it passes exactly
    through all three quantiles. Its tails are the normal's: beyond P90 the probability falls
    faster than a heavy-tailed load's would. A side without spread is a step at P50.

    >>> row = {"p10": [50.0], "p50": [70.0], "p90": [110.0], "rating_kw": [110.0]}
    >>> compute_exceedance_probability(pl.DataFrame(row)).round(3).to_list()
    [0.1]
    """
    from scipy.special import ndtr

    p10, p50, p90 = (rated[name].cast(pl.Float64) for name in OUTPUTS)
    margin = rated["rating_kw"].cast(pl.Float64) - p50
    sides = pl.DataFrame({"margin": margin, "below": p50 - p10, "above": p90 - p50})
    spread = pl.when(pl.col("margin") < 0).then("below").otherwise("above") / Z90
    deviations = sides.select(
        pl.when(spread > 0)
        .then(pl.col("margin") / spread)
        .when(pl.col("margin") < 0)
        .then(-float("inf"))
        .otherwise(float("inf"))
        .alias("z")
    )["z"]
    return pl.Series("probability", ndtr(-deviations.to_numpy()), dtype=pl.Float64)
