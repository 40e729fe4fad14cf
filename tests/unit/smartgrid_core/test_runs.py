import itertools
from datetime import UTC, date, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.runs import find_true_runs, iter_day_ranges, split_at_gaps
from smartgrid_core.time import DAY, HOUR

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


def test_a_run_ends_where_an_hour_is_missing():
    hours = [NOON, NOON + HOUR, NOON + 3 * HOUR, NOON + 4 * HOUR, NOON + 5 * HOUR]
    assert list(split_at_gaps(hours, step=HOUR)) == [(0, 2), (2, 5)]


def test_an_instant_that_comes_early_begins_a_run_of_its_own():
    assert list(split_at_gaps([NOON, NOON + HOUR / 2], step=HOUR)) == [(0, 1), (1, 2)]


def test_a_long_run_is_cut_into_runs_of_the_longest_length():
    hours = [NOON + n * HOUR for n in range(5)]
    assert list(split_at_gaps(hours, step=HOUR, longest=2)) == [(0, 2), (2, 4), (4, 5)]


def test_no_instants_make_no_runs():
    assert list(split_at_gaps([], step=HOUR)) == []
    assert list(iter_day_ranges([])) == []
    assert find_true_runs(np.array([], dtype=bool)) == []


def test_ranges_of_days_include_their_last_day():
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 3)]
    assert list(iter_day_ranges(days)) == [
        (date(2026, 2, 28), date(2026, 3, 1)),
        (date(2026, 3, 3), date(2026, 3, 3)),
    ]


@given(st.sets(st.integers(0, 60)), st.integers(1, 9))
def test_ranges_hold_every_day_once_and_none_is_too_long(numbers: set[int], longest: int):
    days = [date(2026, 1, 1) + n * DAY for n in sorted(numbers)]
    ranges = list(iter_day_ranges(days, longest=longest))
    held = [first + n * DAY for first, last in ranges for n in range((last - first).days + 1)]
    assert held == days
    assert all((last - first).days < longest for first, last in ranges)


@given(st.lists(st.booleans()))
def test_runs_of_true_are_where_the_flags_are(flags: list[bool]):
    rebuilt = np.zeros(len(flags), dtype=bool)
    runs = find_true_runs(np.array(flags, dtype=bool))
    for first, end in runs:
        rebuilt[first:end] = True
    assert rebuilt.tolist() == flags
    assert all(later[0] > earlier[1] for earlier, later in itertools.pairwise(runs))
