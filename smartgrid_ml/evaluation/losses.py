"""Losses by series and issue time: what is kept of a backtest, so that models can be paired later.

A table of losses has columns series, issue_time, hours, pinball, mae and coverage: one row per
forecast of a series, with the means over its `hours` scored.
"""

from collections.abc import Mapping

import polars as pl

from smartgrid_ml.evaluation.metrics import QUANTILE_COLUMNS, compute_pinball_loss

KEPT_BACKTESTS = 3
"""The newest decides; two more tell people how it was before."""

LOSS_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.String,
    "issue_time": pl.Datetime("us", "UTC"),
    "hours": pl.Int64,
    "pinball": pl.Float64,
    "mae": pl.Float64,
    "coverage": pl.Float64,
}
"""Columns of a table of losses."""


def compute_losses_by_issue(forecasts: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Return one row per (*by, series, issue_time): means over P10, P50, P90 and the hours scored.

    `forecasts` have columns series, issue_time, p10, p50, p90, actual and those named by `by`; rows
    without an actual or without a finite forecast are not scored. `pinball` and `mae` are in the
    unit of the series, `coverage` is the share of hours within [P10, P90].
    """
    quantiles = list(QUANTILE_COLUMNS.values())
    actual = pl.col("actual")
    scored = forecasts.with_columns(pl.col("actual", *quantiles).cast(pl.Float64)).filter(
        pl.all_horizontal(pl.col("actual", *quantiles).is_finite().fill_null(False))
    )
    pinball = pl.mean_horizontal(
        compute_pinball_loss(quantile, forecast=pl.col(column), actual=actual)
        for quantile, column in QUANTILE_COLUMNS.items()
    )
    return (
        scored.group_by(*by, "series", "issue_time")
        .agg(
            hours=pl.len().cast(pl.Int64),
            pinball=pinball.mean(),
            mae=(pl.col("p50") - actual).abs().mean(),
            coverage=actual.is_between("p10", "p90").mean(),
        )
        .select(*by, *(pl.col(name).cast(kind) for name, kind in LOSS_SCHEMA.items()))
        .sort(*by, "series", "issue_time")
    )


def select_newest_backtests(losses: pl.DataFrame, *, most: int = KEPT_BACKTESTS) -> pl.DataFrame:
    """Return rows of `BacktestLosses` of the `most` backtests that were scored last."""
    newest = (
        losses.group_by("backtest_id")
        .agg(pl.col("scored_at").max())
        .sort("scored_at", "backtest_id")
        .tail(most)
    )
    return losses.join(newest, on="backtest_id", how="semi")
