"""Which of the two a reading means when the local clock shows an hour twice."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.readings.clock_change import (
    RepeatedHour,
    find_nearby_change,
    list_repeated_hours,
)
from smartgrid_core.readings.parsing import add_instants

TIRANE = "Europe/Tirane"


def at(hour: int, minute: int = 0) -> datetime:
    """On the morning of the change in 2026, UTC: the local clock shows two hours or one more."""
    return datetime(2026, 10, 25, hour, minute, tzinfo=UTC)


def read(*texts: str, who: list[str] | None = None) -> list[datetime | None]:
    frame = pl.DataFrame(
        {
            "timestamp": [f"2026-10-25 {text}" for text in texts],
            "who": who or ["a"] * len(texts),
            "row_number": range(1, len(texts) + 1),
        }
    )
    found = add_instants(frame, "timestamp", subject=["who"], zone=TIRANE)
    assert found["is_ambiguous"].to_list() == found["event_time"].is_null().to_list()
    return found["event_time"].to_list()


def test_the_clock_of_a_zone_says_what_it_repeats():
    hours = {hour.start.year: hour for hour in list_repeated_hours(TIRANE)}
    assert hours[2026] == RepeatedHour(datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 3))  # noqa: DTZ001
    half = {hour.start.year: hour for hour in list_repeated_hours("Australia/Lord_Howe")}
    assert half[2026].end - half[2026].start == timedelta(minutes=30)
    assert list_repeated_hours("UTC") == list_repeated_hours("Etc/GMT-1") == ()


def test_a_file_that_starts_in_the_second_pass_is_read_as_the_second():
    assert read("02:30", "02:45", "03:00") == [at(1, 30), at(1, 45), at(2)]


def test_a_file_that_ends_in_the_first_pass_is_read_as_the_first():
    assert read("01:45", "02:00", "02:15") == [at(0) - timedelta(minutes=15), at(0), at(0, 15)]


def test_a_file_that_begins_and_ends_within_the_hour_but_goes_back_once_is_told_apart():
    assert read("02:30", "02:45", "02:00", "02:15") == [at(0, 30), at(0, 45), at(1), at(1, 15)]


def test_a_reading_that_stands_there_twice_is_no_second_pass():
    assert read("01:45", "02:00", "02:15", "02:15", "02:30") == [
        at(0) - timedelta(minutes=15),
        *(at(0), at(0, 15), at(0, 15), at(0, 30)),
    ]
    both_sides = ["01:45", "02:00", "02:15", "02:15", "02:30", "02:45", "03:00"]
    assert read(*both_sides) == [at(0) - timedelta(minutes=15), *[None] * 5, at(2)]


def test_hours_of_many_meters_instant_by_instant_are_told_apart():
    assert read(
        *["01:00", "01:00", "02:00", "02:00", "02:00", "02:00", "03:00", "03:00"],
        who=["a", "b"] * 4,
    ) == [each for hour in (-1, 0, 1, 2) for each in [at(0) + timedelta(hours=hour)] * 2]


@pytest.mark.parametrize(
    "texts",
    [
        ["02:30"],
        ["02:00", "02:15", "02:30", "02:45"],
        ["00:30", "02:30", "04:00"],
        ["01:30", "02:30"],
        ["02:00", "03:00", "05:00"],
    ],
)
def test_an_hour_with_nothing_around_it_is_not_guessed(texts: list[str]):
    found = dict(zip(texts, read(*texts), strict=True))
    assert [text for text, instant in found.items() if instant is None] == [
        text for text in texts if text.startswith("02")
    ]


def test_an_hour_that_is_there_once_between_its_neighbours_is_not_guessed():
    assert read("01:45", "02:00", "02:30", "03:00") == [
        at(0) - timedelta(minutes=15),
        None,
        None,
        at(2),
    ]


def test_an_hour_that_is_there_three_times_or_backwards_is_not_guessed():
    assert read("02:00", "02:00", "02:00") == [None] * 3
    assert read("03:00", "02:00", "02:00", "01:00")[1:3] == [None, None]


def test_each_meter_is_told_apart_by_its_own_readings():
    times = ["01:30", "01:45", "02:00", "02:00", "03:00", "03:15"]
    assert read(*times, who=["a", "a", "a", "b", "b", "b"])[2:4] == [at(0), at(1)]


def test_the_cells_of_one_row_have_one_clock():
    frame = pl.DataFrame(
        {
            "timestamp": ["2026-10-25 02:00"] * 2 + ["2026-10-25 02:00"] * 1,
            "row_number": [1, 1, 2],
        }
    )
    found = add_instants(frame, "timestamp", subject=(), zone=TIRANE)
    assert found["event_time"].to_list() == [at(0), at(0), at(1)]


def test_no_times_lie_near_to_anything():
    assert find_nearby_change(pl.Series([], dtype=pl.Datetime("us")), zone=TIRANE).to_list() == []


def test_what_lies_around_the_hour_is_near_to_it():
    local = pl.Series(["23:59", "00:00", "02:30", "04:59", "05:00"]).map_elements(
        lambda text: datetime.fromisoformat(f"2026-10-{24 + (text < '20')}T{text}"),
        return_dtype=pl.Datetime("us"),
    )
    start = datetime(2026, 10, 25, 2)  # noqa: DTZ001 - what the clock shows
    assert find_nearby_change(local, zone=TIRANE).to_list() == [None, start, start, start, None]


@given(
    zone=st.sampled_from([TIRANE, "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"]),
    step=st.sampled_from([5, 15, 30, 60, 120]),
    cut=st.integers(0, 60),
    meters=st.integers(1, 3),
)
def test_a_series_that_is_cut_anywhere_is_never_read_wrong(zone, step, cut, meters):
    change = next(iter(h for h in list_repeated_hours(zone) if h.start.year == 2026), None)
    middle = datetime(2026, 10, 25, 1) if change is None else change.end  # noqa: DTZ001
    around = middle.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    count = 6 * 60 // step
    truth = [around + timedelta(minutes=step) * (n - count // 2) for n in range(count)]
    rows = pl.DataFrame(
        [
            {"who": str(meter), "timestamp": f"{t.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"}
            | {"truth": t, "row_number": n * meters + meter}
            for n, t in enumerate(truth)
            for meter in range(meters)
        ]
    )
    at_row = cut * rows.height // 60
    for part in (rows.head(at_row), rows.tail(rows.height - at_row)):
        found = add_instants(part, "timestamp", subject=["who"], zone=zone)
        pairs = list(zip(found["event_time"], part["truth"], strict=True))
        assert [pair for pair in pairs if pair[0] not in (None, pair[1])] == []
    whole = add_instants(rows, "timestamp", subject=["who"], zone=zone)
    if change is None or timedelta(minutes=step) <= change.end - change.start:
        assert whole["event_time"].to_list() == rows["truth"].to_list()
