"""The day-ahead forecast: through the served model, or by the best naive row where none answers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.features.load import FEATURES
from smartgrid_core.model_protocols import RoutedForecasts
from smartgrid_core.rollout.labels import LOAD_FORECASTER, OUTPUTS
from smartgrid_ml.evaluation.leaderboard import select_newest_backtest
from smartgrid_ml.evaluation.metrics import ALL_SERIES
from smartgrid_ml.forecasting.registry import NAIVE_ROWS, create_forecaster

AskModel = Callable[[Mapping[str, Any], Sequence[str]], RoutedForecasts]
"""Answers for a batch: one float32 array (batch,) per feature, and each row's feeder."""


def choose_naive(leaderboard: pl.DataFrame) -> str:
    """Return the naive row with the least pinball loss over all series of the newest backtest.

    Without any backtest it is `naive_168h`: it needs one week and knows weekdays from Sundays.
    """
    naive = select_newest_backtest(leaderboard).filter(
        pl.col("series") == ALL_SERIES,
        pl.col("model").is_in(NAIVE_ROWS),
        pl.col("pinball").is_not_null(),
    )
    if naive.is_empty():
        return "naive_168h"
    return str(naive.sort("pinball", "model")["model"].item(0))


def forecast_day_ahead(
    features: pl.DataFrame,
    *,
    ask: AskModel,
    history: pl.LazyFrame,
    stand_in: str,
    now: datetime,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the forecasts of the model, or of the naive row for hours that it leaves open.

    Args:
        features: rows of `LoadFeatures` that are to be forecast; loads in kW.
        ask: answers with P10, P50, P90 in kW, version and variant for each row of a batch, null
            where no version answers.
        history: earlier rows of `LoadFeatures`, read only if the naive row has to answer: its band
            is that of its own past errors.
        stand_in: name of the naive row.
        now: the time that the rows are stamped with, UTC.

    Returns:
        Rows of `LoadForecasts`, one per feeder, issue time and hour, and rows of `PredictionLog`.

    Raises:
        ValidationError: a row breaks the contract `LoadForecasts`.
    """
    batch = {name: features[name].cast(pl.Float32).to_numpy() for name in FEATURES}
    routed = ask(batch, features["feeder_id"].to_list())
    keys = features.select("feeder_id", "issue_time", "hour_start", "lead_hours")
    rows = pl.concat([keys, routed.frame], how="horizontal").with_columns(
        model=pl.when(pl.col("variant").is_not_null()).then(pl.lit(LOAD_FORECASTER))
    )
    is_open = rows["model"].is_null()
    forecast = rows.filter(~is_open)
    if is_open.any():
        known = history.filter(pl.col("load_kw").is_not_null()).collect()
        naive = create_forecaster(stand_in).fit(known).predict(features.filter(is_open))
        naive_rows = rows.filter(is_open).with_columns(
            *naive.select(OUTPUTS).cast(pl.Float64), model=pl.lit(stand_in)
        )
        forecast = pl.concat([forecast, naive_rows]).sort("feeder_id", "issue_time", "hour_start")
    forecast = forecast.drop_nulls("p50").with_columns(
        created_at=pl.lit(now).cast(pl.Datetime("us", "UTC"))
    )
    columns = LoadForecasts.column_names()
    return LoadForecasts.validate(forecast.select(columns), cast=True), routed.log
