"""Durations as people write them on a command line: `24h`, `30min`, `1d`."""

import re
from datetime import time, timedelta

from smartgrid_core.errors import ConfigurationError
from smartgrid_core.time import DAY

UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}

DIVISORS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 3, 5, 6, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440)
)
"""Steps that cut a day into equal parts."""


def parse_duration(text: str, *, option: str) -> timedelta:
    """Return the duration of `24h`, `30min`, `1d` or `24` (hours).

    Raises ConfigurationError naming the option.

    >>> parse_duration("30min", option="--step")
    datetime.timedelta(seconds=1800)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)\s*", text.lower())
    if match is None or not float(match[1]):
        raise ConfigurationError(f"{option} {text!r} is no duration; write 24h, 30min or 1d")
    return float(match[1]) * UNITS[match[2] or "h"]


def parse_clock(text: str, *, option: str) -> timedelta:
    """Return `HH:MM` as the time since midnight. Raises ConfigurationError naming the option."""
    try:
        at = time.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} is no time of day; write 00:00") from error
    return timedelta(hours=at.hour, minutes=at.minute)


def round_to_step(gap: timedelta) -> timedelta:
    """Return the divisor of a day that is nearest to a usual distance between rows."""
    return min(DIVISORS, key=lambda step: (abs(step - gap), step))


def format_duration(length: timedelta) -> str:
    """Return a duration in its largest whole unit.

    >>> format_duration(timedelta(minutes=90)), format_duration(timedelta(days=1))
    ('90min', '1d')
    """
    for name in ("d", "h", "min"):
        if not length % UNITS[name]:
            return f"{length // UNITS[name]}{name}"
    return f"{length.total_seconds():g}s"


def divides_a_day(step: timedelta) -> bool:
    """Return whether a day is a whole number of steps."""
    return not DAY % step
