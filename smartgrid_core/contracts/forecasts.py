"""Tables of forecasting: scores of backtests, and day-ahead forecasts."""

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.columns import identifier, utc


class LoadBacktest(dy.Schema):
    """The leaderboard: one row per (backtest_id, series, model), scored on unseen days only.

    Figures are null where the model failed, as `error` says, and scores where they would divide by
    zero.
    """

    backtest_id = identifier(
        primary_key=True,
        description=(
            "First 16 hexadecimal digits of a hash of the feature rows: the same features give "
            "the same backtest."
        ),
    )
    series = identifier(
        primary_key=True, description='The feeder_id; "all" pools the hours of every series.'
    )
    model = identifier(primary_key=True, description="The forecaster or naive row that was scored.")
    mae = dy.Float64(nullable=True, min=0, description="Mean |P50 - actual|, kW.")
    mape = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "Mean of |P50 - actual| / |actual| over actuals that are not zero, percent; of series"
            ' "all" the mean over series.'
        ),
    )
    nmae = dy.Float64(nullable=True, min=0, description="mae / mean |actual|, percent.")
    pinball = dy.Float64(
        nullable=True, min=0, description="Mean pinball loss over P10, P50 and P90, kW."
    )
    rcrps = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "CRPS / (P99 - P1 of the actuals), the CRPS taken as twice the pinball loss; of "
            'series "all" the mean over series.'
        ),
    )
    coverage = dy.Float64(
        nullable=True, min=0, max=1, description="Share of the actuals within [P10, P90], 0 to 1."
    )
    peak_nmae = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "nmae of the hours of peak, percent: for each series and issue time that of the "
            "largest actual."
        ),
    )
    train_s = dy.Float64(
        nullable=True,
        min=0,
        description="Time to train on all series, all folds and searches included, seconds.",
    )
    predict_ms = dy.Float64(
        nullable=True,
        min=0,
        description="Time to forecast one issue time of all series, milliseconds.",
    )
    artifact_mb = dy.Float64(
        nullable=True,
        min=0,
        description="Size of the model as it would be served, MB; null for what cannot be served.",
    )
    error = dy.String(nullable=True, description="Why the row has no scores; null if it has.")
    recipe = dy.String(
        nullable=True,
        description=(
            "What a search or a blend found, as JSON: how to train it again; only on the row of "
            'series "all".'
        ),
    )
    scored_at = utc(description="When the backtest was scored, UTC.")


class LoadForecasts(dy.Schema):
    """One row per (feeder_id, issue_time, hour_start): P10, P50, P90 of the hour's mean power."""

    feeder_id = identifier(
        primary_key=True, description='The feeder; "grid" is the sum of all feeders.'
    )
    issue_time = utc(
        primary_key=True, description="The instant up to which the forecast knows the past, UTC."
    )
    hour_start = utc(primary_key=True, description="Start of the hour that is forecast, UTC.")
    lead_hours = dy.Int32(
        min=0, description="hour_start - issue_time in hours, 0 for the first hour."
    )
    p10 = dy.Float64(description="Power that the hour's mean stays below with probability 0.1, kW.")
    p50 = dy.Float64(description="Median of the hour's mean power, kW.")
    p90 = dy.Float64(description="Power that the hour's mean stays below with probability 0.9, kW.")
    model = identifier(
        description="The registered model's name, or the naive row that stood in for it."
    )
    model_version = identifier(
        nullable=True, description="Version of the registered model; null for a naive row."
    )
    variant = identifier(
        nullable=True,
        description=(
            "Label of the model server that answered: stable or canary; null for a naive row."
        ),
    )
    created_at = utc(description="When the row was made, UTC.")

    @dy.rule()
    def quantiles_are_ordered(cls) -> pl.Expr:
        """P10 <= P50 <= P90 in every row."""
        return (cls.p10.col <= cls.p50.col) & (cls.p50.col <= cls.p90.col)
