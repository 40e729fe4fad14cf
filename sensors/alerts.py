"""From exceedances to people: new ones are recorded as alerts, waiting messages are delivered."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl

from sensors.polling import Attempts, is_at_work, plan_attempts, read_cursor, write_cursor
from smartgrid_core.alerts.decide import decide_limit_alerts
from smartgrid_core.contracts.alerts import LimitExceedances
from smartgrid_core.protocols import AlertStore, Clock, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import DAY, Window, midnight

RECORDING = "raise_alerts"
DELIVERY = "deliver_alerts"

RUNNING = dg.DefaultSensorStatus.RUNNING


def choose_issue_window(*, now: datetime, last_day: date | None) -> Window:
    """Issue times whose hours may still come: since yesterday, or about the end of a closed set."""
    present = now if last_day is None else min(now, midnight(last_day + timedelta(days=1)))
    today = midnight(present.astimezone(UTC).date())
    return Window(today - DAY, today + DAY)


def decide_alerts(
    exceedances: pl.DataFrame, *, open_alerts: pl.DataFrame, now: datetime, timezone: ZoneInfo
) -> dict[str, list[str]]:
    """Facts that call for an alert and have none, by the issue day (ISO) that they come from.

    Args:
        exceedances: Rows of `LimitExceedances` whose hours may still come.
        open_alerts: Rows of `Alerts` that nobody has closed.
        now: The present instant, UTC.
        timezone: In which the local day of a fact is counted.

    Returns:
        The `dedupe_key` of every such fact, by issue day.
    """
    alerts = decide_limit_alerts(exceedances, now=now, timezone=timezone, open_alerts=open_alerts)
    days: dict[str, list[str]] = {}
    for key, metadata in alerts.select("dedupe_key", "metadata").iter_rows():
        issue = datetime.fromisoformat(json.loads(metadata)["issue_time"])
        days.setdefault(issue.astimezone(UTC).date().isoformat(), []).append(key)
    return dict(sorted(days.items()))


@dg.sensor(job_name=RECORDING, minimum_interval_seconds=30, default_status=RUNNING)
def new_exceedances(
    context: dg.SensorEvaluationContext,
    warehouse: dg.ResourceParam[Warehouse],
    alert_book: dg.ResourceParam[AlertStore],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """Limit exceedances that call for an alert that is not open yet."""
    if is_at_work(context.instance, RECORDING):
        return dg.SkipReason("alerts are being recorded")
    now = clock.now()
    window = choose_issue_window(now=now, last_day=settings.last_day)
    facts = decide_alerts(
        warehouse.read(LimitExceedances, window=window),
        open_alerts=alert_book.read_open_alerts(),
        now=now,
        timezone=settings.zone,
    )
    before = read_cursor(context.cursor)
    attempts = {
        day: plan_attempts(f"alerts:{day}", keys, before=before) for day, keys in facts.items()
    }
    cursor = write_cursor(_merge_cursors(attempts.values()))
    requests = [
        dg.RunRequest(run_key=attempt.run_key, partition_key=day)
        for day, attempt in attempts.items()
        if attempt.facts
    ]
    if not requests:
        return dg.SensorResult(skip_reason="no exceedance calls for a new alert", cursor=cursor)
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _merge_cursors(attempts: Iterable[Attempts]) -> dict[str, int]:
    return {fact: number for attempt in attempts for fact, number in attempt.cursor.items()}


@dg.sensor(job_name=DELIVERY, minimum_interval_seconds=15, default_status=RUNNING)
def waiting_messages(
    context: dg.SensorEvaluationContext,
    alert_book: dg.ResourceParam[AlertStore],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """Messages in the outbox whose time to be tried has come."""
    if is_at_work(context.instance, DELIVERY):
        return dg.SkipReason("messages are being delivered")
    attempts = plan_attempts(
        "deliver",
        alert_book.list_due(now=clock.now()),
        before=read_cursor(context.cursor),
        most=None,
    )
    cursor = write_cursor(attempts.cursor)
    if not attempts.facts:
        return dg.SensorResult(skip_reason="no message waits", cursor=cursor)
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=attempts.run_key)], cursor=cursor)
