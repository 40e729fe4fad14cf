"""Assets made by asking the served model: the day-ahead forecast, and who forecasts better."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from smartgrid_assets.domains import SERVING, Cadence, daily_asset, grid_asset
from smartgrid_assets.partitions import get_run_window
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadBacktest, LoadForecasts
from smartgrid_core.contracts.promotion import PromotionDecisions
from smartgrid_core.contracts.serving import (
    LabelMoves,
    PredictionLog,
    TrafficSplits,
    VariantComparisons,
)
from smartgrid_core.errors import SmartGridError
from smartgrid_core.features.load import HISTORY_NEEDED
from smartgrid_core.model_protocols import ModelRepository, ModelServer
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.rollout.canary import describe_regression
from smartgrid_core.rollout.label_journal import find_label_start
from smartgrid_core.rollout.labels import CANARY, LOAD_FORECASTER, ServingState
from smartgrid_core.time import DAY, Window, midnight
from smartgrid_io.serving.router import Router, find_split
from smartgrid_ml.forecasting.day_ahead import choose_naive, forecast_day_ahead
from smartgrid_ml.promotion.canary_comparison import (
    CanaryComparison,
    compare_losses,
    compute_variant_losses,
    judge_trial,
    pair_losses,
)
from smartgrid_ml.promotion.decision_records import build_decision_rows, render_decision
from smartgrid_ml.promotion.gate import Decision

PREDICTIONS_KEPT = timedelta(days=90)
"""A quarter of a year: longer than any trial; 10,000 feeders log 10,000 rows a day."""


@daily_asset(
    SERVING,
    table=LoadForecasts,
    deps=["load_features", "load_backtest", "served_model"],
    kinds={"tensorflow", "postgres"},
)
def load_forecast(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    model_server: dg.ResourceParam[ModelServer],
    model_repository: dg.ResourceParam[ModelRepository],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One row per feeder, issue time and hour: forecast mean power as P10, P50 and P90, kW.

    The issue time is midnight UTC of the partition's day. Each feeder is forecast by the stable or
    by the canary version. Where neither answers, the naive forecaster that did best in the
    backtest takes over; the column `model` names who made the row.
    """
    window = get_run_window(context)
    router = Router(
        model_server,
        served=read_served(model_repository),
        split=find_split(warehouse.read(TrafficSplits), LOAD_FORECASTER),
        now=clock.now(),
    )
    forecast, log = forecast_day_ahead(
        lake.scan(LoadFeatures, window=window).collect(),
        ask=router.ask,
        history=lake.scan(LoadFeatures, window=window.widened(before=HISTORY_NEEDED)),
        stand_in=choose_naive(warehouse.read(LoadBacktest)),
        now=clock.now(),
    )
    rows = warehouse.replace(LoadForecasts, forecast, window=window)
    warehouse.upsert(PredictionLog, log)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "peak_kw": rows.max("p50"),
            **{f"rows/{model}": n for model, n in rows.count_by("model").items()},
            **{f"rows/{each}": n for each, n in rows.count_by("variant").items() if each},
        }
    )


@grid_asset(
    SERVING,
    table=VariantComparisons,
    cadence=Cadence.DAILY,
    deps=["load_features", "feeder_load", "served_model"],
    kinds={"tensorflow", "postgres"},
)
def variant_comparison(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    model_server: dg.ResourceParam[ModelServer],
    model_repository: dg.ResourceParam[ModelRepository],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One row per comparison of a canary with the stable version, by their errors.

    Both are asked for the same feeder-hours, of all whole UTC days since the canary's trial began,
    so that neither profits from easier feeders.
    """
    _forget_old_predictions(warehouse, now=clock.now())
    served = model_repository.read_state(LOAD_FORECASTER)
    since = find_label_start(warehouse.read(LabelMoves), served, CANARY)
    if served.stable is None or served.canary is None or since is None:
        return dg.MaterializeResult(metadata={"outcome": "no canary is on trial"})
    stable, canary = compute_variant_losses(
        lake.scan(LoadFeatures, window=find_whole_days_since(since, now=clock.now())).collect(),
        ask=lambda features, version: (
            model_server.predict(LOAD_FORECASTER, features, version).frame
        ),
        stable=served.stable,
        canary=served.canary,
    )
    comparison = compare_losses(pair_losses(stable, canary))
    calls = warehouse.read(PredictionLog, window=Window(since, clock.now()))
    decision = judge_trial(
        comparison,
        stable=stable,
        canary=canary,
        calls=describe_regression(
            calls.filter(pl.col("model") == LOAD_FORECASTER), version=served.canary
        ),
    )
    _record_verdict(warehouse, comparison, decision, served=served, now=clock.now())
    return dg.MaterializeResult(
        metadata={
            "outcome": f"{decision.outcome}: {decision.reason}",
            "decision": dg.MetadataValue.md(render_decision(decision)),
            "stable": served.stable,
            "canary": served.canary,
            "issues": comparison.issues,
            "pairs": comparison.pairs,
        }
    )


def _record_verdict(
    warehouse: Warehouse,
    comparison: CanaryComparison,
    decision: Decision,
    *,
    served: ServingState,
    now: datetime,
) -> None:
    """Write down how both did, and what follows, line by line.

    Args:
        warehouse: Keeps both.
        comparison: Stable and canary on the same feeder-hours.
        decision: What follows.
        served: Which versions they are.
        now: When they were compared, UTC.
    """
    row = {
        "model": LOAD_FORECASTER,
        "canary_version": str(served.canary),
        "stable_version": str(served.stable),
        "compared_at": now,
        **asdict(comparison),
        "decision": decision.outcome,
        "reason": decision.reason,
    }
    schema = VariantComparisons.create_empty().schema
    warehouse.upsert(
        VariantComparisons,
        VariantComparisons.validate(pl.DataFrame([row], schema=schema), cast=True),
    )
    lines = build_decision_rows(
        decision,
        model=LOAD_FORECASTER,
        version=str(served.canary),
        champion=str(served.stable),
        by="variant_comparison",
        now=now,
    )
    warehouse.upsert(PromotionDecisions, lines)


def find_whole_days_since(since: datetime, *, now: datetime) -> Window:
    """Whole UTC days that began after `since` and have ended; none yet is an empty window."""
    first, end = midnight(since.date()) + DAY, midnight(now.date())
    return Window(first, max(first, end))


def _forget_old_predictions(warehouse: Warehouse, *, now: datetime) -> None:
    old = Window(datetime(2000, 1, 1, tzinfo=UTC), now - PREDICTIONS_KEPT)
    warehouse.replace(PredictionLog, PredictionLog.create_empty(), window=old)


def read_served(repository: ModelRepository) -> ServingState:
    """What is served; where the config cannot be read, stable is asked for everything."""
    try:
        return repository.read_state(LOAD_FORECASTER)
    except (SmartGridError, OSError) as error:
        dg.get_dagster_logger().warning("no canary is asked: %s", error)
        return ServingState(LOAD_FORECASTER)
