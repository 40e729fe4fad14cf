"""Which days a reading bears on: the pure definition of what a landing journals."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from smartgrid_core.time import DAY

NEIGHBOURS = 4
"""Readings on each side of a day that its energy may depend on, as in `RegisterBrackets`."""


def find_touched_days(
    changed: Iterable[tuple[str, datetime]], *, known: Iterable[tuple[str, datetime]]
) -> set[date]:
    """Return the UTC days whose readings or brackets new or revised register readings change.

    `changed` and `known` hold (meter_id, event_time) of register readings; `known` holds all
    readings after the change, the changed ones among them. A reading touches its own day and each
    other day, with readings or not, of which it is one of the four nearest before or after. Days
    after the last reading and before the first one of a meter have no energy: they are left out.
    """
    times: dict[str, list[datetime]] = defaultdict(list)
    for meter_id, instant in sorted(set(known)):
        times[meter_id].append(instant)
    days: set[date] = set()
    for meter_id, instant in changed:
        days |= _find_days_near(instant, times[meter_id])
    return days


def _find_days_near(instant: datetime, times: list[datetime]) -> set[date]:
    """Return the reading's own day and the days around it whose energy depends on it.

    A day depends on a reading unless as many as `NEIGHBOURS` others stand between the two.
    """
    days = {instant.date()}
    later = [time.date() for time in times if time > instant]
    day = instant.date() + DAY
    while later and day <= later[-1] and sum(other < day for other in later) < NEIGHBOURS:
        days.add(day)
        day += DAY
    earlier = [time.date() for time in times if time < instant]
    day = instant.date() - DAY
    while earlier and day >= earlier[0] and sum(other > day for other in earlier) < NEIGHBOURS:
        days.add(day)
        day -= DAY
    return days


def find_interval_day(event_time: datetime) -> date:
    """Return the UTC day of the interval that an interval reading ends.

    >>> from datetime import UTC
    >>> find_interval_day(datetime(2026, 3, 2, tzinfo=UTC)).isoformat()
    '2026-03-01'
    """
    return (event_time - timedelta(minutes=1)).date()
