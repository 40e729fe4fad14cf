"""Runs: stretches of instants, days or flagged samples that follow each other without a break."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smartgrid_core.time import DAY


def find_true_runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return [first, last + 1) of every unbroken stretch of True; `flags` is bool (n,).

    >>> find_true_runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def split_at_gaps(
    instants: Sequence[datetime] | Sequence[date], *, step: timedelta, longest: int | None = None
) -> Iterator[tuple[int, int]]:
    """Yield [first, last + 1) of every run of ordered instants that lie exactly `step` apart.

    A run of more than `longest` instants (None: no bound) is cut into runs of that length.

    >>> days = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 5)]
    >>> list(split_at_gaps(days, step=DAY))
    [(0, 2), (2, 3)]
    """
    breaks = [
        at
        for at, (before, after) in enumerate(pairwise(instants), start=1)
        if after - before != step
    ]
    for first, end in pairwise([0, *breaks, len(instants)]):
        for start in range(first, end, longest or max(end - first, 1)):
            yield start, min(start + longest, end) if longest else end


def iter_day_ranges(
    days: Sequence[date], *, longest: int | None = None
) -> Iterator[tuple[date, date]]:
    """Yield first and last day, both included, of every run of ordered consecutive days.

    A run of more than `longest` days (None: no bound) is cut into ranges of that length.

    >>> days = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 5)]
    >>> [f"{first.day}-{last.day}" for first, last in iter_day_ranges(days)]
    ['1-2', '5-5']
    """
    for first, end in split_at_gaps(days, step=DAY, longest=longest):
        yield days[first], days[end - 1]
