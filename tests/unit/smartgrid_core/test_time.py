"""Windows and how days are cut."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.time import (
    DAY,
    HOUR,
    WIDEST_OFFSET,
    Window,
    local_day_window,
    midnight,
    to_epoch_ms,
    to_epoch_us,
)

TIRANE = ZoneInfo("Europe/Tirane")
MARCH_1 = date(2026, 3, 1)


def test_a_window_of_days_includes_its_last_day():
    window = Window.of_days(MARCH_1, date(2026, 3, 3))
    assert list(window.days()) == [MARCH_1, date(2026, 3, 2), date(2026, 3, 3)]
    assert window.end == datetime(2026, 3, 4, tzinfo=UTC)


def test_a_window_refuses_local_time_and_an_end_before_its_start():
    noon = datetime(2026, 3, 1, 12, tzinfo=TIRANE)
    with pytest.raises(ValueError, match="UTC"):
        Window(noon, noon + DAY)
    with pytest.raises(ValueError, match="ends after it starts"):
        Window(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))


@given(st.integers(0, 400), st.integers(1, 40))
def test_the_parts_of_a_window_follow_each_other_without_hole_or_overlap(days: int, size: int):
    window = (
        Window.of_day(MARCH_1).widened(after=(days - 1) * DAY) if days else Window.of_day(MARCH_1)
    )
    parts = list(window.parts(days=size))
    assert parts[0].start == window.start
    assert parts[-1].end == window.end
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert all(part.end - part.start <= size * DAY for part in parts)


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2026, 3, 28), 24), (date(2026, 3, 29), 23), (date(2026, 10, 25), 25)],
)
def test_a_local_day_is_as_long_as_the_clocks_say(day: date, hours: int):
    window = local_day_window(day, timezone=TIRANE)
    assert window.end - window.start == timedelta(hours=hours)
    assert (window.start.astimezone(TIRANE).hour, window.start.minute) == (0, 0)
    assert HOUR * hours == window.end - window.start


def test_the_last_days_end_with_the_last_day():
    assert Window.of_last_days(3, last=date(2026, 3, 29)) == Window.of_days(
        date(2026, 3, 27), date(2026, 3, 29)
    )
    with pytest.raises(ValueError, match="one at least, got 0"):
        Window.of_last_days(0, last=date(2026, 3, 29))


def test_an_instant_is_counted_from_1970_in_any_zone():
    tirane = datetime(1970, 1, 1, 2, 0, 0, 1500, tzinfo=ZoneInfo("Europe/Tirane"))
    assert (to_epoch_us(tirane), to_epoch_ms(tirane)) == (3_600_001_500, 3_600_001)


def test_a_window_may_be_empty_and_one_day_is_a_last_day():
    assert list(Window(midnight(MARCH_1), midnight(MARCH_1)).days()) == []
    assert Window.of_last_days(1, last=MARCH_1) == Window.of_day(MARCH_1)


def test_a_wider_window_reaches_back_and_ahead():
    day = Window.of_day(MARCH_1)
    assert day.widened() == day
    assert day.widened(before=2 * DAY, after=DAY) == Window.of_days(
        date(2026, 2, 27), date(2026, 3, 2)
    )


def test_no_local_day_reaches_further_than_the_widest_offset():
    islands = local_day_window(MARCH_1, timezone=ZoneInfo("Pacific/Kiritimati"))
    assert midnight(MARCH_1) - islands.start == WIDEST_OFFSET
