"""UTC windows and the local calendar: the only place that knows how days are cut."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

WIDEST_OFFSET = timedelta(hours=14)
"""No local time is further from UTC (Line Islands, +14), so no local day reaches further."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, [`start`, `end`), both UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for edge in (self.start, self.end):
            if edge.utcoffset() != timedelta(0):
                raise ValueError(f"a window's edges are UTC, got {edge!r}")
        if self.end < self.start:
            raise ValueError(f"a window ends after it starts, got {self.start} .. {self.end}")

    @classmethod
    def of_day(cls, day: date) -> "Window":
        """Return the window of one UTC day.

        >>> Window.of_day(date(2026, 3, 1)).end.isoformat()
        '2026-03-02T00:00:00+00:00'
        """
        start = midnight(day)
        return cls(start, start + DAY)

    @classmethod
    def of_days(cls, first: date, last: date) -> "Window":
        """Return the window of the UTC days `first` to `last`, both included.

        >>> window = Window.of_days(date(2026, 3, 1), date(2026, 3, 3))
        >>> [day.day for day in window.days()]
        [1, 2, 3]
        """
        return cls(midnight(first), midnight(last) + DAY)

    @classmethod
    def of_last_days(cls, count: int, *, last: date) -> "Window":
        """Return the `count` UTC days of which `last` is the last.

        >>> window = Window.of_last_days(7, last=date(2026, 3, 29))
        >>> f"{window.start:%Y-%m-%d} .. {window.end:%Y-%m-%d}"
        '2026-03-23 .. 2026-03-30'
        """
        if count < 1:
            raise ValueError(f"a window of days has one at least, got {count}")
        return cls.of_days(last - (count - 1) * DAY, last)

    def days(self) -> Iterator[date]:
        """Yield the UTC days that the window touches, in order."""
        day = self.start.date()
        while midnight(day) < self.end:
            yield day
            day += DAY

    def parts(self, *, days: int) -> Iterator["Window"]:
        """Yield the window in spans of `days` days, the last one shorter; in order.

        >>> window = Window.of_days(date(2026, 3, 1), date(2026, 3, 5))
        >>> [(part.end - part.start).days for part in window.parts(days=2)]
        [2, 2, 1]
        """
        start = self.start
        while start < self.end:
            end = min(start + days * DAY, self.end)
            yield Window(start, end)
            start = end

    def widened(
        self, *, before: timedelta = timedelta(0), after: timedelta = timedelta(0)
    ) -> "Window":
        """Return a window that begins `before` earlier and ends `after` later."""
        return Window(self.start - before, self.end + after)


def midnight(day: date) -> datetime:
    """Return the first instant of a UTC day.

    >>> midnight(date(2026, 3, 1)).isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def to_epoch_us(instant: datetime) -> int:
    """Return the microseconds since 1970-01-01T00:00Z; `instant` knows its zone.

    >>> to_epoch_us(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (instant - EPOCH) // MICROSECOND


def to_epoch_ms(instant: datetime) -> int:
    """Return the whole milliseconds since 1970-01-01T00:00Z; `instant` knows its zone."""
    return to_epoch_us(instant) // 1000


def local_day_window(day: date, *, timezone: ZoneInfo) -> Window:
    """Return the UTC window of a local calendar day: 23, 24 or 25 hours long.

    >>> window = local_day_window(date(2026, 3, 29), timezone=ZoneInfo("Europe/Tirane"))
    >>> (window.end - window.start) // HOUR
    23
    """

    def start_of(a_day: date) -> datetime:
        return datetime(a_day.year, a_day.month, a_day.day, tzinfo=timezone).astimezone(UTC)

    return Window(start_of(day), start_of(day + DAY))
