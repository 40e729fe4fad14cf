"""Drift asks for a retraining, once; whether its model answers is the gate's affair."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast

import dagster as dg
import polars as pl

from sensors.polling import is_at_work, read_cursor, write_cursor
from smartgrid_core.contracts.forecasts import LoadBacktest
from smartgrid_core.contracts.promotion import ModelDrift
from smartgrid_core.protocols import Clock, Warehouse
from smartgrid_core.time import Window

JOB = "train_models"

SAME_AGAIN = timedelta(days=28)
"""A drift that a retraining did not end may be asked about again with four weeks of new days."""

REST = timedelta(days=3)
"""After any training: one on the same days but two would find the same."""

FRESH = timedelta(days=3)
"""Signs that are older say nothing of the present: the look at them has stopped."""


@dataclass(frozen=True, slots=True)
class Retraining:
    """Which signs a training is asked for, under which key, and what the next tick shall know.

    `cursor` has the day (proleptic ordinal) on which each sign was last asked about. Without
    `facts` nothing is asked for, and `waits` says why.
    """

    facts: list[str]
    cursor: dict[str, int]
    waits: str = ""

    @property
    def run_key(self) -> str:
        """The signs and the day on which they were asked about."""
        text = ";".join(f"{fact}@{self.cursor[fact]}" for fact in self.facts)
        return f"drift:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def decide_retraining(
    drift: pl.DataFrame, *, before: Mapping[str, int], trained_at: datetime | None, now: datetime
) -> Retraining:
    """Ask for a training if the newest day has a sign of drift that was not asked about lately.

    `drift` are rows of `ModelDrift`; `trained_at` is when models were last trained and scored. A
    sign is about one version, kind and name: another version's is another one.

    Args:
        drift: Rows of `ModelDrift` of the last days.
        before: The proleptic ordinal of the day on which each sign was last asked about.
        trained_at: When models were last trained and scored, UTC; None for never.
        now: The present instant, UTC.
    """
    today = now.date().toordinal()
    kept = {fact: day for fact, day in before.items() if today - day < SAME_AGAIN.days}
    newest = cast(date | None, drift["day"].max())
    if newest is None or now.date() - newest > FRESH:
        return Retraining([], kept, "no fresh look at drift")
    signs = drift.filter(pl.col("day") == newest, pl.col("is_drifted")).sort(
        "model_version", "kind", "name"
    )
    facts = [":".join(sign) for sign in signs.select("model_version", "kind", "name").rows()]
    new = [fact for fact in facts if fact not in kept]
    if not new:
        waits = "a training was asked for already" if facts else "nothing has drifted"
        return Retraining([], kept, waits)
    if trained_at is not None and now - trained_at < REST:
        return Retraining([], kept, f"models were trained at {trained_at:%Y-%m-%d %H:%M}")
    return Retraining(new, kept | dict.fromkeys(new, today))


def _read_training_time(warehouse: Warehouse) -> datetime | None:
    return cast(datetime | None, warehouse.read(LoadBacktest)["scored_at"].max())


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def drift_watch(
    context: dg.SensorEvaluationContext,
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """Features or errors that drifted since the champion was trained."""
    if is_at_work(context.instance, JOB):
        return dg.SkipReason("models are being trained")
    now = clock.now()
    drift = warehouse.read(ModelDrift, window=Window.of_days((now - FRESH).date(), now.date()))
    decision = decide_retraining(
        drift,
        before=read_cursor(context.cursor),
        # The boards of years: read only if their newest day matters.
        trained_at=_read_training_time(warehouse) if drift["is_drifted"].any() else None,
        now=now,
    )
    cursor = write_cursor(decision.cursor)
    if not decision.facts:
        return dg.SensorResult(skip_reason=decision.waits, cursor=cursor)
    request = dg.RunRequest(
        run_key=decision.run_key, tags={"smartgrid/drift": ", ".join(decision.facts)[:250]}
    )
    return dg.SensorResult(run_requests=[request], cursor=cursor)
