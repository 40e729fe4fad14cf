"""From exceedances to people: new ones are recorded as alerts, waiting messages are delivered."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from sensors.polling import Attempts, is_at_work, plan_attempts, read_cursor, write_cursor
from smartgrid_core.protocols import AlertStore, Clock
from smartgrid_core.settings import Settings
from smartgrid_core.time import DAY, Window, midnight

RECORDING = "raise_alerts"
DELIVERY = "deliver_alerts"

NOTICED, DECIDED = dg.AssetKey("limit_exceedances"), dg.AssetKey("alerts")

RUNNING = dg.DefaultSensorStatus.RUNNING


def choose_issue_window(*, now: datetime, last_day: date | None) -> Window:
    """Issue times whose hours may still come: since yesterday, or about the end of a closed set."""
    present = now if last_day is None else min(now, midnight(last_day + timedelta(days=1)))
    today = midnight(present.astimezone(UTC).date())
    return Window(today - DAY, today + DAY)


def find_undecided_days(exceedances: Mapping[str, int], alerts: Mapping[str, int]) -> list[str]:
    """Return a fact for every day whose exceedances were computed and not yet decided upon.

    Args:
        exceedances: By issue day (ISO), the number of the event that computed its exceedances last.
        alerts: By issue day (ISO), the number of the event that decided its alerts last.

    Returns:
        `<day>#<event>` in order of days: exceedances that are computed again are another fact.

    >>> find_undecided_days({"2026-03-01": 7, "2026-03-02": 9}, {"2026-03-01": 8})
    ['2026-03-02#9']
    """
    return [
        f"{day}#{event}" for day, event in sorted(exceedances.items()) if event > alerts.get(day, 0)
    ]


@dg.sensor(job_name=RECORDING, minimum_interval_seconds=30, default_status=RUNNING)
def new_exceedances(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """Days whose limit exceedances are newer than their alerts; the asset `alerts` decides."""
    if is_at_work(context.instance, RECORDING):
        return dg.SkipReason("alerts are being recorded")
    window = choose_issue_window(now=clock.now(), last_day=settings.last_day)
    days = [day.isoformat() for day in window.days()]
    facts = find_undecided_days(
        *(_read_last_events(context.instance, asset, days=days) for asset in (NOTICED, DECIDED))
    )
    before = read_cursor(context.cursor)
    attempts = [(fact, plan_attempts("alerts", [fact], before=before)) for fact in facts]
    cursor = write_cursor(_merge_cursors(attempt for _, attempt in attempts))
    requests = [
        dg.RunRequest(run_key=attempt.run_key, partition_key=fact.partition("#")[0])
        for fact, attempt in attempts
        if attempt.facts
    ]
    if not requests:
        return dg.SensorResult(skip_reason="no exceedances wait for a decision", cursor=cursor)
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _read_last_events(
    instance: dg.DagsterInstance, asset: dg.AssetKey, *, days: Iterable[str]
) -> dict[str, int]:
    """Return the number of the last materialisation of each of the days that has one."""
    events: dict[str, int] = {}
    for day in days:
        newest = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[day]), limit=1
        )
        if newest.records:
            events[day] = newest.records[0].storage_id
    return events


def _merge_cursors(attempts: Iterable[Attempts]) -> dict[str, int]:
    return {fact: number for attempt in attempts for fact, number in attempt.cursor.items()}


@dg.sensor(job_name=DELIVERY, minimum_interval_seconds=15, default_status=RUNNING)
def waiting_messages(
    context: dg.SensorEvaluationContext,
    alert_store: dg.ResourceParam[AlertStore],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """Messages in the outbox whose time to be tried has come."""
    if is_at_work(context.instance, DELIVERY):
        return dg.SkipReason("messages are being delivered")
    attempts = plan_attempts(
        "deliver",
        alert_store.list_due(now=clock.now()),
        before=read_cursor(context.cursor),
        most=None,
    )
    cursor = write_cursor(attempts.cursor)
    if not attempts.facts:
        return dg.SensorResult(skip_reason="no message waits", cursor=cursor)
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=attempts.run_key)], cursor=cursor)
