"""The day-ahead forecast: through the served model, or by the best naive row where none answers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.features.load import FEATURES
from smartgrid_core.protocols import RoutedForecasts
from smartgrid_core.rollout.labels import LOAD_FORECASTER, OUTPUTS
from smartgrid_ml.evaluation.leaderboard import select_newest_backtest
from smartgrid_ml.evaluation.metrics import ALL_SERIES
from smartgrid_ml.forecasting.registry import NAIVE_ROWS, create_forecaster

AskModel = Callable[[Mapping[str, Any], Sequence[str]], RoutedForecasts]
"""Answers for a batch: one float32 array (batch,) per feature, and each row's feeder."""


def choose_naive(leaderboard: pl.DataFrame) -> str:
    """The naive row with the least pinball loss over all series of the newest backtest.

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
    """Rows of `LoadForecasts` for rows of `LoadFeatures`, P10, P50, P90 in kW; and `PredictionLog`.

    `ask` answers for features and feeders. `history` are earlier rows of `LoadFeatures`, read only
    if the naive row `stand_in` has to answer where `ask` did not: its band is that of its own past
    errors.
    """
    asked = {name: features[name].cast(pl.Float32).to_numpy() for name in FEATURES}
    routed = ask(asked, features["feeder_id"].to_list())
    keys = features.select("feeder_id", "issue_time", "hour_start", "lead_hours")
    rows = pl.concat([keys, routed.frame], how="horizontal").with_columns(
        model=pl.when(pl.col("variant").is_not_null()).then(pl.lit(LOAD_FORECASTER))
    )
    answered = rows.filter(pl.col("model").is_not_null())
    if answered.height < rows.height:
        is_open = rows["model"].is_null()
        known = history.filter(pl.col("load_kw").is_not_null()).collect()
        naive = create_forecaster(stand_in).fit(known).predict(features.filter(is_open))
        stood_in = rows.filter(is_open).with_columns(
            *naive.select(OUTPUTS).cast(pl.Float64), model=pl.lit(stand_in)
        )
        answered = pl.concat([answered, stood_in]).sort("feeder_id", "issue_time", "hour_start")
    forecast = answered.drop_nulls("p50").with_columns(
        created_at=pl.lit(now).cast(pl.Datetime("us", "UTC"))
    )
    columns = LoadForecasts.column_names()
    return LoadForecasts.validate(forecast.select(columns), cast=True), routed.log
