from datetime import timedelta

import pytest

from smartgrid_cli.files.durations import (
    divides_a_day,
    format_duration,
    parse_clock,
    parse_duration,
    round_to_step,
)
from smartgrid_core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "minutes"), [("24h", 1440), ("30min", 30), ("15m", 15), ("1d", 1440), ("2", 120)]
)
def test_durations_are_read_as_people_write_them(text, minutes):
    assert parse_duration(text, option="--step") == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "h", "-1h", "0h", "soon", "1 fortnight"])
def test_what_is_no_duration_is_named_with_its_option(text):
    with pytest.raises(ConfigurationError, match=r"--horizon .* is no duration; write 24h"):
        parse_duration(text, option="--horizon")


def test_a_time_of_day_counts_from_midnight():
    assert parse_clock("09:30", option="--issue-at") == timedelta(hours=9, minutes=30)
    with pytest.raises(ConfigurationError, match="--issue-at '24:01' is no time of day"):
        parse_clock("24:01", option="--issue-at")


def test_a_usual_distance_becomes_the_nearest_divisor_of_a_day():
    assert round_to_step(timedelta(minutes=14, seconds=58)) == timedelta(minutes=15)
    assert round_to_step(timedelta(hours=1)) == timedelta(hours=1)
    assert divides_a_day(timedelta(minutes=20))
    assert not divides_a_day(timedelta(hours=5))


def test_durations_are_shown_in_their_largest_whole_unit():
    lengths = [timedelta(days=1), timedelta(hours=36), timedelta(minutes=30), timedelta(seconds=5)]
    assert [format_duration(length) for length in lengths] == ["1d", "36h", "30min", "5s"]
