"""Scores of quantile forecasts: pure functions of a table of forecasts with their actuals.

A table of forecasts has columns series, issue_time, p10, p50, p90 and actual; rows without an
actual or without a forecast are not scored.
"""

import polars as pl

from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.forecasting.protocol import QUANTILES

ALL_SERIES = "all"
"""The series that stands for every series together."""

METRICS = ("mae", "mape", "nmae", "pinball", "rcrps", "coverage", "peak_nmae")

QUANTILE_COLUMNS = dict(zip(QUANTILES, OUTPUTS, strict=True))
"""The column of each quantile."""


def compute_pinball_loss(quantile: float, *, forecast: pl.Expr, actual: pl.Expr) -> pl.Expr:
    """Return the cost of a forecast f of quantile q in the unit of the load, per row.

    It is q (y - f) for an actual y above f, else (1 - q) (f - y).

    >>> loss = compute_pinball_loss(0.9, forecast=pl.lit(10.0), actual=pl.col("actual"))
    >>> pl.DataFrame({"actual": [12.0, 8.0]}).select(loss.round(6)).to_series().to_list()
    [1.8, 0.2]
    """
    error = actual - forecast
    return pl.max_horizontal(quantile * error, (quantile - 1) * error)


def build_metrics() -> dict[str, pl.Expr]:
    """Return the scores of one group of forecasts, as aggregations; `is_peak` marks peak hours.

    mae      mean |P50 - actual|, in the unit of the series
    mape     mean of |P50 - actual| / |actual|, percent, over actuals that are not zero
    nmae     mae / mean |actual|, percent
    pinball  mean pinball loss over P10, P50, P90, in the unit of the series
    rcrps    CRPS / (P99 - P1 of the actuals); the CRPS, twice the integral of the pinball loss over
             all quantiles, is taken as twice its mean over the three
    coverage share of actuals within [P10, P90], both edges included
    peak_nmae nmae of the hours of peak: for each series and issue time that of the largest actual

    A score whose denominator is zero is null.
    """
    actual, p50 = pl.col("actual"), pl.col("p50")
    error = (p50 - actual).abs()
    pinball = pl.mean_horizontal(
        compute_pinball_loss(quantile, forecast=pl.col(column), actual=actual)
        for quantile, column in QUANTILE_COLUMNS.items()
    ).mean()
    peak_error, peak = (each.filter("is_peak").mean() for each in (error, actual.abs()))
    spread = actual.quantile(0.99, "linear") - actual.quantile(0.01, "linear")
    return {
        "mae": error.mean(),
        "mape": 100 * (error / actual.abs()).filter(actual != 0).mean(),
        "nmae": 100 * _divide(error.mean(), actual.abs().mean()),
        "pinball": pinball,
        "rcrps": _divide(2 * pinball, spread),
        "coverage": actual.is_between("p10", "p90").mean(),
        "peak_nmae": 100 * _divide(peak_error, peak),
    }


def score_forecasts(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Return one row per series, then one for ALL_SERIES; columns series, METRICS and hours.

    `hours` are the rows scored. ALL_SERIES pools the hours of every series for mae, pinball, nmae,
    coverage and peak_nmae; its mape and rcrps are means over series, because hours of different
    sizes have no common percentage or spread.
    Series come in the order of their names; no scored row at all gives no row.

    >>> row = {"series": "F1", "issue_time": 0, "p10": 9.0, "p50": 10.0, "p90": 11.0}
    >>> score_forecasts(pl.DataFrame([{**row, "actual": 12.0}])).row(1, named=True)["mae"]
    2.0
    """
    scored = forecasts.drop_nulls(["actual", *QUANTILE_COLUMNS.values()]).with_columns(
        is_peak=pl.col("actual") == pl.col("actual").max().over("series", "issue_time")
    )
    if scored.is_empty():
        empty = {"series": pl.String, **dict.fromkeys(METRICS, pl.Float64), "hours": pl.UInt32}
        return pl.DataFrame(schema=empty)
    each = scored.group_by("series").agg(**build_metrics(), hours=pl.len()).sort("series")
    pooled = scored.select(series=pl.lit(ALL_SERIES), **build_metrics(), hours=pl.len())
    averaged = each.select(pl.col("mape", "rcrps").mean())
    overall = pooled.with_columns(averaged.get_columns()).select(each.columns)
    return pl.concat([each, overall])


def _divide(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    return pl.when(denominator > 0).then(numerator / denominator)
