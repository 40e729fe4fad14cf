from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.readings.brackets import select_register_brackets
from smartgrid_core.readings.touched import find_interval_day, find_touched_days

MIDNIGHT = datetime(2025, 3, 1, tzinfo=UTC)


def at(day: int, hour: int = 12) -> tuple[str, datetime]:
    return "a", MIDNIGHT + timedelta(days=day - 1, hours=hour)


def march(*days: int) -> set[date]:
    return {date(2025, 3, day) for day in days}


HOURLY = [at(day, hour) for day in range(1, 10) for hour in range(24)]


def test_a_reading_at_noon_touches_its_own_day_alone():
    assert find_touched_days([at(5, 12)], known=HOURLY) == march(5)


def test_a_reading_near_midnight_is_a_bracket_of_the_day_beside():
    assert find_touched_days([at(5, 0)], known=HOURLY) == march(4, 5)
    assert find_touched_days([at(5, 3)], known=HOURLY) == march(4, 5)
    assert find_touched_days([at(5, 4)], known=HOURLY) == march(5)
    assert find_touched_days([at(5, 19)], known=HOURLY) == march(5)
    assert find_touched_days([at(5, 20)], known=HOURLY) == march(5, 6)


def test_readings_once_a_day_bracket_four_days_on_each_side():
    daily = [at(day) for day in range(1, 20)]
    assert find_touched_days([at(10)], known=daily) == march(6, 7, 8, 9, 10, 11, 12, 13, 14)


def test_a_reading_after_a_gap_touches_every_day_of_the_gap():
    known = [*(at(2, hour) for hour in range(24)), at(7)]
    assert find_touched_days([at(7)], known=known) == march(2, 3, 4, 5, 6, 7)


def test_days_before_the_first_and_after_the_last_reading_are_not_named():
    assert find_touched_days([at(5)], known=[at(5)]) == march(5)


def test_another_meters_readings_do_not_count():
    known = [at(5), ("b", MIDNIGHT), ("b", MIDNIGHT + timedelta(days=9))]
    assert find_touched_days([at(5)], known=known) == march(5)


def test_the_interval_reading_at_midnight_touches_the_day_before():
    assert find_interval_day(MIDNIGHT + timedelta(days=1)) == date(2025, 3, 1)
    assert find_interval_day(MIDNIGHT + timedelta(days=1, minutes=15)) == date(2025, 3, 2)


@given(hours=st.sets(st.integers(0, 6 * 24), min_size=2, max_size=30), data=st.data())
def test_touched_days_are_those_whose_readings_or_brackets_differ(register, hours, data):
    counts = [float(hour) if hour in hours else None for hour in range(6 * 24 + 1)]
    after = register(counts)
    late = data.draw(st.sampled_from(after["event_time"].to_list()))
    before = after.filter(after["event_time"] != late)
    first, last = after["event_time"].min().date(), after["event_time"].max().date()
    differ = set()
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        brackets = [select_register_brackets(frame, days=[day]) for frame in (before, after)]
        if late.date() == day or not brackets[0].equals(brackets[1]):
            differ.add(day)
    known = after.select("meter_id", "event_time").iter_rows()
    assert find_touched_days([("a", late)], known=known) == differ
