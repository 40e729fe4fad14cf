"""The canary under watch: taken back when it fails or is slow, settled when it was compared."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import dagster as dg
import polars as pl

from sensors.polling import is_at_work, plan_attempts, read_cursor, write_cursor
from smartgrid_core.contracts.serving import LabelMoves, PredictionLog, VariantComparisons
from smartgrid_core.model_protocols import ModelRepository
from smartgrid_core.protocols import Clock, Warehouse
from smartgrid_core.rollout.canary import describe_regression
from smartgrid_core.rollout.label_journal import find_label_start
from smartgrid_core.rollout.labels import CANARY, LOAD_FORECASTER, ServingState
from smartgrid_core.time import Window

JOB = "settle_canary"

LOOK_BACK = timedelta(days=7)
"""Calls that count: a daily batch has made a handful in a week."""


@dataclass(frozen=True, slots=True)
class CanaryOrder:
    """What shall become of the version that is canary, and why."""

    action: Literal["promote", "roll_back"]
    version: int
    reason: str

    @property
    def fact(self) -> str:
        """What it is about: the same settlement is requested a few times at most."""
        return f"{self.action}:{self.version}"


def decide_canary(
    served: ServingState, *, log: pl.DataFrame, comparisons: pl.DataFrame, since: datetime
) -> CanaryOrder | None:
    """Settle the canary if its calls or its newest comparison call for it; None to wait.

    `log` are rows of `PredictionLog`, `comparisons` of `VariantComparisons`; those from before
    `since`, or about other versions, do not count.

    Args:
        served: Which versions bear which label.
        log: Rows of `PredictionLog`.
        comparisons: Rows of `VariantComparisons`.
        since: When the canary got its label, UTC.
    """
    if served.canary is None:
        return None
    calls = log.filter(pl.col("model") == served.model, pl.col("asked_at") >= since)
    reason = describe_regression(calls, version=served.canary)
    if reason is not None:
        return CanaryOrder("roll_back", served.canary, reason)
    about = comparisons.filter(
        pl.col("model") == served.model,
        pl.col("canary_version") == str(served.canary),
        pl.col("stable_version") == str(served.stable),
        pl.col("compared_at") >= since,
    ).sort("compared_at")
    if about.is_empty() or about["decision"][-1] == "keep":
        return None
    return CanaryOrder(about["decision"][-1], served.canary, about["reason"][-1])


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def canary_watch(
    context: dg.SensorEvaluationContext,
    warehouse: dg.ResourceParam[Warehouse],
    model_repository: dg.ResourceParam[ModelRepository],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """A canary whose calls fail or are slow, or whose comparison has come to a verdict."""
    served = model_repository.read_state(LOAD_FORECASTER)
    if served.canary is None:
        return dg.SkipReason("no canary is on trial")
    if is_at_work(context.instance, JOB):
        return dg.SkipReason("the canary is being settled")
    now = clock.now()
    since = find_label_start(warehouse.read(LabelMoves), served, CANARY) or now - LOOK_BACK
    window = Window(max(since, now - LOOK_BACK), now + timedelta(minutes=1))
    settlement = decide_canary(
        served,
        log=warehouse.read(PredictionLog, window=window),
        comparisons=warehouse.read(VariantComparisons),
        since=since,
    )
    facts = [] if settlement is None else [settlement.fact]
    attempts = plan_attempts("canary", facts, before=read_cursor(context.cursor))
    cursor = write_cursor(attempts.cursor)
    if settlement is None or not attempts.facts:
        waits = f"version {served.canary} stays on trial"
        return dg.SensorResult(skip_reason=waits, cursor=cursor)
    config = {
        "action": settlement.action,
        "version": settlement.version,
        "reason": settlement.reason,
    }
    request = dg.RunRequest(
        run_key=attempts.run_key, run_config={"ops": {"settle": {"config": config}}}
    )
    return dg.SensorResult(run_requests=[request], cursor=cursor)
