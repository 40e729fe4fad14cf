"""Tables of forecasting: scores of backtests, and day-ahead forecasts."""

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.columns import identifier, utc


class LoadBacktest(dy.Schema):
    """The leaderboard: one row per (backtest_id, series, model), scored on unseen days only.

    `mae`, `pinball` in the series' unit (kW); `mape`, `nmae` in percent; `rcrps` is CRPS divided by
    (P99 - P1) of the actuals; `coverage` is the share of actuals within [P10, P90]; `peak_nmae` is
    the nmae of each issue's hour of peak. `series` "all" pools the hours of every series; its
    `mape` and `rcrps` are means over series. `train_s` is the time to train on all series, searches
    included, `predict_ms` to forecast one issue time of all series, `artifact_mb` the size of the
    model as it would be served. `error` names why a row has no scores. `recipe` is what a search or
    a blend found, as JSON: how to train it again.
    """

    backtest_id = identifier(primary_key=True)
    series = identifier(primary_key=True)
    model = identifier(primary_key=True)
    mae = dy.Float64(nullable=True, min=0)
    mape = dy.Float64(nullable=True, min=0)
    nmae = dy.Float64(nullable=True, min=0)
    pinball = dy.Float64(nullable=True, min=0)
    rcrps = dy.Float64(nullable=True, min=0)
    coverage = dy.Float64(nullable=True, min=0, max=1)
    peak_nmae = dy.Float64(nullable=True, min=0)
    train_s = dy.Float64(nullable=True, min=0)
    predict_ms = dy.Float64(nullable=True, min=0)
    artifact_mb = dy.Float64(nullable=True, min=0)
    error = dy.String(nullable=True)
    recipe = dy.String(nullable=True)
    scored_at = utc()


class LoadForecasts(dy.Schema):
    """One row per (feeder_id, issue_time, hour_start): P10, P50, P90 of mean power, kW.

    `lead_hours` is hour_start - issue_time in hours, 0 for the first hour. `model` is the
    registered model's name or the naive row that stood in for it; a naive row has no
    `model_version` and no `variant`, which is the label of the model server that answered.
    `created_at` is when the row was made.
    """

    feeder_id = identifier(primary_key=True)
    issue_time = utc(primary_key=True)
    hour_start = utc(primary_key=True)
    lead_hours = dy.Int32(min=0)
    p10 = dy.Float64()
    p50 = dy.Float64()
    p90 = dy.Float64()
    model = identifier()
    model_version = identifier(nullable=True)
    variant = identifier(nullable=True)
    created_at = utc()

    @dy.rule()
    def quantiles_are_ordered(cls) -> pl.Expr:
        """P10 <= P50 <= P90 in every row."""
        return (cls.p10.col <= cls.p50.col) & (cls.p50.col <= cls.p90.col)
