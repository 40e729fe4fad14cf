"""The daily measurement of drift: features and forecast errors against the champion's training."""

from datetime import date, datetime, timedelta

import dagster as dg
import polars as pl

from smartgrid_assets.domains import MODELS, Cadence, grid_asset
from smartgrid_assets.partitions import find_last_whole_day
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.contracts.promotion import BacktestLosses, ModelDrift
from smartgrid_core.model_protocols import ModelRegistry
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.rollout.labels import CHAMPION, LOAD_FORECASTER
from smartgrid_core.rollout.training_record import (
    FORECASTER,
    TRAINING_SPAN,
    explain_missing_params,
)
from smartgrid_core.time import Window
from smartgrid_ml.drift.drift import (
    WEEK,
    list_needed_columns,
    measure_error_drift,
    measure_feature_drift,
    sample_feeders,
)
from smartgrid_ml.drift.report import build_drift_rows, draw_drift, render_drift
from smartgrid_ml.evaluation.losses import compute_losses_by_issue, select_newest_backtests
from smartgrid_ml.evaluation.picture import embed_in_markdown


@grid_asset(
    MODELS,
    table=ModelDrift,
    cadence=Cadence.DAILY,
    deps=["load_features", "feeder_load", "load_forecast", "load_backtest"],
    kinds={"polars", "postgres"},
)
def model_drift(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    model_registry: dg.ResourceParam[ModelRegistry],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One row per day, model version and sign of drift: how far the week up to the day has moved.

    A feature is compared with the champion's training days by the population stability index, the
    forecast error with the range that the newest backtest makes likely. The day is the last whole
    UTC day that has features.
    """
    champion = model_registry.find_by_alias(LOAD_FORECASTER, CHAMPION)
    last = find_last_whole_day(lake, LoadFeatures, clock=clock)
    if champion is None or last is None:
        outcome = "no model answers yet" if champion is None else "no day has features yet"
        return dg.MaterializeResult(metadata={"outcome": outcome})
    trained = model_registry.read_params(champion)
    unrecorded = explain_missing_params(
        trained, (FORECASTER, *TRAINING_SPAN), version=champion.version
    )
    if unrecorded is not None:
        return dg.MaterializeResult(metadata={"outcome": unrecorded})
    week = Window.of_days(last - timedelta(days=WEEK - 1), last)
    losses = select_newest_backtests(warehouse.read(BacktestLosses), most=1)
    signs = [
        *measure_feature_drift(
            _read_features(
                lake, window=_parse_days_window(*(trained[name] for name in TRAINING_SPAN))
            ),
            _read_features(lake, window=week),
        ),
        measure_error_drift(
            read_served_losses(lake, warehouse, version=champion.version, window=week),
            losses.filter(pl.col("model") == trained[FORECASTER]),
        ),
    ]
    rows = warehouse.upsert(ModelDrift, build_drift_rows(signs, day=last, version=champion.version))
    drifted = [f"{each.kind} {each.name}" for each in signs if each.is_drifted]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "outcome": f"drifted: {', '.join(drifted)}" if drifted else "nothing has drifted",
            "day": str(last),
            "version": champion.version,
            "signs": dg.MetadataValue.md(render_drift(signs)),
            "plot": dg.MetadataValue.md(embed_in_markdown(draw_drift(signs), about="drift")),
        }
    )


def read_served_losses(
    lake: Lake, warehouse: Warehouse, *, version: str, window: Window
) -> pl.DataFrame:
    """Losses of what the version said in the forecasts issued in the window, where load is known.

    One forecast of a day reaches at most a day beyond the window.

    Args:
        lake: Has the truth, rows of `FeederLoad`.
        warehouse: Has what was forecast, rows of `LoadForecasts`.
        version: The version whose forecasts count.
        window: Issue times, UTC.
    """
    forecasts = warehouse.read(LoadForecasts, window=window).filter(
        pl.col("model") == LOAD_FORECASTER, pl.col("model_version") == version
    )
    truth = lake.scan(FeederLoad, window=window.widened(after=timedelta(days=1))).collect()
    known = forecasts.join(
        truth.select("feeder_id", "hour_start", actual="load_kw"), on=["feeder_id", "hour_start"]
    )
    return compute_losses_by_issue(known.rename({"feeder_id": "series"}))


def _parse_days_window(start: str, end: str) -> Window:
    """The UTC days that a span of instants touches."""
    first, behind = datetime.fromisoformat(start), datetime.fromisoformat(end)
    last: date = (behind - timedelta(microseconds=1)).date()
    return Window.of_days(first.date(), last)


def _read_features(lake: Lake, *, window: Window) -> pl.DataFrame:
    rows = lake.scan(LoadFeatures, window=window)
    feeders = sample_feeders(rows.select("feeder_id").unique().collect()["feeder_id"])
    return (
        rows.select(list_needed_columns())
        .filter(pl.col("feeder_id").is_in(feeders))
        .sort("issue_time", "feeder_id")
        .collect()
    )
