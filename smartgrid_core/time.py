"""UTC windows and the local calendar: the only place that knows how days are cut."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

WIDEST_OFFSET = timedelta(hours=14)
"""No local time is further from UTC (Line Islands, +14), so no local day reaches further."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, [start, end), both UTC."""

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
        """The UTC day `day`."""
        start = midnight(day)
        return cls(start, start + DAY)

    @classmethod
    def of_days(cls, first: date, last: date) -> "Window":
        """UTC days `first` to `last`, both included."""
        return cls(midnight(first), midnight(last) + DAY)

    def days(self) -> Iterator[date]:
        """The UTC days that the window touches, in order."""
        day = self.start.date()
        while midnight(day) < self.end:
            yield day
            day += DAY

    def parts(self, *, days: int) -> Iterator["Window"]:
        """The window cut into spans of so many days, the last one shorter; in order."""
        start = self.start
        while start < self.end:
            end = min(start + days * DAY, self.end)
            yield Window(start, end)
            start = end

    def widened(
        self, *, before: timedelta = timedelta(0), after: timedelta = timedelta(0)
    ) -> "Window":
        """The same window, reaching further back or ahead."""
        return Window(self.start - before, self.end + after)


def midnight(day: date) -> datetime:
    """The first instant of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def local_day_window(day: date, *, timezone: ZoneInfo) -> Window:
    """The UTC window of a local calendar day: 23, 24 or 25 hours long."""

    def start_of(a_day: date) -> datetime:
        return datetime(a_day.year, a_day.month, a_day.day, tzinfo=timezone).astimezone(UTC)

    return Window(start_of(day), start_of(day + DAY))
