"""What the newest evaluations of a check say about days, and which runs have yet to evaluate it."""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from smartgrid_core.alerts.record_names import JUDGED_FROM, JUDGED_TO

MOST_EVALUATIONS = 50
"""Looked through for a day's verdict: weeks of nightly runs, and a day of somebody trying."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An evaluation about the days `first` to `last` (ISO), both included."""

    first: str
    last: str
    is_error: bool
    """Whether it failed with the severity ERROR: the rows would mislead people."""
    description: str


@dataclass(frozen=True, slots=True)
class CheckHistory:
    """The newest evaluations of a check, the newest first, and the runs that have yet to do one."""

    verdicts: tuple[Verdict, ...]
    planned_in: frozenset[str]


def read_check_history(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> CheckHistory:
    """Return what the event log knows of a check that writes down which days it judged."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        check, limit=MOST_EVALUATIONS
    )
    # A record stands where its run planned it; a run that waited long may be judged last.
    events = [record.event for record in records if record.event is not None]
    newest_first = sorted(events, key=lambda event: event.timestamp, reverse=True)
    verdicts = (
        _parse_verdict(event.dagster_event.event_specific_data)
        for event in newest_first
        if event.dagster_event is not None
    )
    return CheckHistory(
        verdicts=tuple(verdict for verdict in verdicts if verdict is not None),
        planned_in=frozenset(
            record.run_id
            for record in records
            if not isinstance(record.evaluation, dg.AssetCheckEvaluation)
        ),
    )


def find_refusal(verdicts: Iterable[Verdict], *, day: str) -> str | None:
    """Return why the newest verdict on the day is an error; None if it is none.

    `verdicts` are in order, the newest first.

    >>> old = Verdict("2026-03-01", "2026-03-02", is_error=True, description="no forecast")
    >>> new = Verdict("2026-03-02", "2026-03-02", is_error=False, description="")
    >>> [find_refusal([new, old], day=day) for day in ("2026-03-01", "2026-03-02")]
    ['no forecast', None]
    """
    for verdict in verdicts:
        if verdict.first <= day <= verdict.last:
            return verdict.description if verdict.is_error else None
    return None


def _parse_verdict(evaluation: object) -> Verdict | None:
    """Return the verdict of an evaluation; None for a planned one, or one that names no days."""
    if not isinstance(evaluation, dg.AssetCheckEvaluation):
        return None
    days = [evaluation.metadata.get(name) for name in (JUDGED_FROM, JUDGED_TO)]
    first, last = (None if day is None else str(day.value) for day in days)
    if first is None or last is None:
        return None
    return Verdict(
        first=first,
        last=last,
        is_error=not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR,
        description=evaluation.description or "it says no reason",
    )
