"""From exceedances to people: new ones are recorded as alerts, waiting messages are delivered."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import dagster as dg

from sensors.check_verdicts import find_refusal, read_check_history
from sensors.polling import Attempts, is_at_work, plan_attempts, read_cursor, write_cursor
from smartgrid_core.alerts.record_names import READ_EVENTS
from smartgrid_core.contracts.alerts import LimitExceedances
from smartgrid_core.protocols import AlertStore, Clock, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import DAY, Window, midnight

RECORDING = "raise_alerts"
DELIVERY = "deliver_alerts"

NOTICED, DECIDED = dg.AssetKey("limit_exceedances"), dg.AssetKey("alerts")

GROUND = dg.AssetCheckKey(NOTICED, "exceedances_have_ground")
"""The check that holds a day back as long as its newest verdict is an error."""

RUNNING = dg.DefaultSensorStatus.RUNNING


def choose_issue_window(*, now: datetime, last_day: date | None) -> Window:
    """Issue times whose hours may still come: since yesterday, or about the end of a closed set."""
    present = now if last_day is None else min(now, midnight(last_day + timedelta(days=1)))
    today = midnight(present.astimezone(UTC).date())
    return Window(today - DAY, today + DAY)


def find_undecided_days(
    days: Iterable[str], *, computed: Mapping[str, int], decided: Mapping[str, int]
) -> dict[str, str]:
    """Return a fact for every day whose exceedances are newer than what its alerts rest on.

    Args:
        days: Issue days (ISO) to look at, in order.
        computed: By day, the number of the event that computed its exceedances last; a day without
            one counts as computed before the first event.
        decided: By day, the event whose exceedances had been read when its alerts were decided
            last; a day without one was never decided.

    Returns:
        By day `<day>#<event>`: exceedances that are computed again are another fact.

    >>> days = ["2026-03-01", "2026-03-02", "2026-03-03"]
    >>> find_undecided_days(days, computed={days[0]: 7, days[1]: 9}, decided={days[0]: 7})
    {'2026-03-02': '2026-03-02#9', '2026-03-03': '2026-03-03#0'}
    """
    return {
        day: f"{day}#{computed.get(day, 0)}"
        for day in days
        if computed.get(day, 0) > decided.get(day, -1)
    }


@dg.sensor(job_name=RECORDING, minimum_interval_seconds=5, default_status=RUNNING)
def new_exceedances(
    context: dg.SensorEvaluationContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """Days with limit exceedances that are newer than their alerts; the asset `alerts` decides.

    The rows say whether there is anything to decide, also where the event log knows nothing of
    them; the events say whether it was decided. A day whose exceedances lack ground, or are still
    being judged, waits.
    """
    if is_at_work(context.instance, RECORDING):
        return dg.SkipReason("alerts are being recorded")
    window = choose_issue_window(now=clock.now(), last_day=settings.last_day)
    days = [day.isoformat() for day in window.days()]
    computed = _read_newest_events(context.instance, NOTICED, days=days)
    facts = find_undecided_days(
        days,
        computed={day: event.storage_id for day, event in computed.items()},
        decided=_read_decided_events(context.instance, days=days),
    )
    found = _list_issue_days(warehouse, window=window) if facts else []
    undecided = {day: facts[day] for day in found if day in facts}
    waiting = _explain_waiting(context.instance, {day: computed.get(day) for day in undecided})
    before = read_cursor(context.cursor)
    attempts = {
        day: plan_attempts("alerts", [fact], before=before)
        for day, fact in undecided.items()
        if day not in waiting
    }
    cursor = write_cursor(_merge_cursors(attempts.values()))
    requests = [
        dg.RunRequest(run_key=attempt.run_key, partition_key=day)
        for day, attempt in attempts.items()
        if attempt.facts
    ]
    if not requests:
        reason = "; ".join(waiting.values()) or "no exceedances wait for a decision"
        return dg.SensorResult(skip_reason=reason, cursor=cursor)
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _read_newest_events(
    instance: dg.DagsterInstance, asset: dg.AssetKey, *, days: Iterable[str]
) -> dict[str, dg.EventLogRecord]:
    """Return the last materialisation of each of the days that has one."""
    events: dict[str, dg.EventLogRecord] = {}
    for day in days:
        newest = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[day]), limit=1
        )
        if newest.records:
            events[day] = newest.records[0]
    return events


def _read_decided_events(instance: dg.DagsterInstance, *, days: Iterable[str]) -> dict[str, int]:
    """Return by day the event whose exceedances its newest alerts were decided upon.

    Alerts that do not say it are not counted: deciding once more records nothing twice.
    """
    events: dict[str, int] = {}
    for day, record in _read_newest_events(instance, DECIDED, days=days).items():
        noted = record.asset_materialization
        if noted is not None and READ_EVENTS in noted.metadata:
            events[day] = int(cast(Any, noted.metadata[READ_EVENTS].value).get(day, 0))
    return events


def _list_issue_days(warehouse: Warehouse, *, window: Window) -> list[str]:
    """Return the issue days (ISO) of the window that have exceedances, in order."""
    issued = warehouse.read(LimitExceedances, window=window)["issue_time"]
    return [day.isoformat() for day in issued.dt.date().unique().sort()]


def _explain_waiting(
    instance: dg.DagsterInstance, days: Mapping[str, dg.EventLogRecord | None]
) -> dict[str, str]:
    """Return a sentence for each of the days that nobody may be warned of at present.

    `days` have the event that computed each; None where the event log has none.
    """
    if not days:
        return {}
    history = read_check_history(instance, GROUND)
    reasons: dict[str, str] = {}
    for day, event in days.items():
        refusal = find_refusal(history.verdicts, day=day)
        if event is not None and _is_judging(instance, event.run_id, history.planned_in):
            reasons[day] = f"{day}: {GROUND.name} is still to come"
        elif refusal is not None:
            reasons[day] = f"{day}: {GROUND.name} failed ({refusal})"
    return reasons


def _is_judging(instance: dg.DagsterInstance, run_id: str, planned_in: Collection[str]) -> bool:
    """Whether the run is one of those that have yet to judge, and still goes on."""
    run = instance.get_run_by_id(run_id) if run_id in planned_in else None
    return run is not None and not run.is_finished


def _merge_cursors(attempts: Iterable[Attempts]) -> dict[str, int]:
    return {fact: number for attempt in attempts for fact, number in attempt.cursor.items()}


@dg.sensor(job_name=DELIVERY, minimum_interval_seconds=5, default_status=RUNNING)
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
