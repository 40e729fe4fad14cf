"""Numbers and instants out of what files write."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.readings.parsing import (
    METER_UNITS,
    add_instants,
    expand_unit_spellings,
    parse_identifier,
    parse_number,
    read_local_times,
)


def instants(*texts: object, zone: str = "UTC", who: str = "a") -> list[datetime | None]:
    frame = pl.DataFrame({"timestamp": list(texts), "who": [who] * len(texts)})
    return add_instants(frame, "timestamp", subject=["who"], zone=zone)["event_time"].to_list()


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T11:30:00Z",
        "2026-03-01T11:30:00+00:00",
        "2026-03-01 11:30:00Z",
        "2026-03-01T12:30:00+01:00",
        "2026-03-01T12:30:00+0100",
        "2026-03-01T12:30:00.000+01",
        "2026-03-01T11:30Z",
        "2026-03-01T12:30+01:00",
        "2026-03-01 11:30",
        " 2026-03-01T11:30:00 ",
        "2026-03-01T11:30:00.000000",
    ],
)
def test_iso_8601_is_read_however_it_is_written(text: str):
    wanted = datetime(2026, 3, 1, 11, 30, tzinfo=UTC)
    assert instants(text) == [wanted]
    assert instants(text, "2026-03-01", "no time", None, "2026-03-01T11:30:00Z") == [
        wanted,
        datetime(2026, 3, 1, tzinfo=UTC),
        None,
        None,
        wanted,
    ]


def test_local_time_is_read_in_its_zone():
    assert instants("2026-07-01 00:00", zone="Europe/Tirane") == [
        datetime(2026, 6, 30, 22, tzinfo=UTC)
    ]


def test_the_repeated_hour_in_autumn_is_read_twice_and_the_skipped_one_in_spring_never():
    repeated = ["2026-10-25 02:00", "2026-10-25 02:30", "2026-10-25 02:00", "2026-10-25 02:30"]
    assert instants(*repeated, zone="Europe/Tirane") == [
        datetime(2026, 10, 25, 0, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    ]
    assert instants("2026-03-29 02:30", zone="Europe/Tirane") == [None]


def test_times_written_without_a_zone_are_told_from_others():
    written = ["2026-10-25 02:30", "2026-10-25T02:30+01:00", "2026-10-25", "nonsense", None]
    assert read_local_times(pl.DataFrame({"timestamp": written}), "timestamp").to_list() == [
        datetime(2026, 10, 25, 2, 30),  # noqa: DTZ001 - what stands there
        None,
        datetime(2026, 10, 25),  # noqa: DTZ001
        None,
        None,
    ]


def test_typed_times_keep_their_meaning():
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    zoned = pl.Series([noon]).dt.convert_time_zone("Europe/Tirane").dt.cast_time_unit("ns")
    frame = pl.DataFrame({"timestamp": zoned, "who": ["a"]})
    read = add_instants(frame, "timestamp", subject=["who"], zone="Asia/Tokyo")
    assert read["event_time"].to_list() == [noon]
    assert read.schema["event_time"] == pl.Datetime("us", "UTC")
    assert instants(date(2026, 3, 1)) == [datetime(2026, 3, 1, tzinfo=UTC)]
    assert instants(1_772_366_400) == [None]


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - the zone is added
def test_every_instant_is_read_as_it_was_written(moment: datetime):
    utc = moment.replace(tzinfo=UTC)
    assert instants(utc.isoformat(), f"{moment.isoformat()}Z", moment.isoformat()) == [utc] * 3


@pytest.mark.parametrize(
    ("text", "decimal_comma", "value"),
    [
        ("12.5", False, 12.5),
        (" 12.5 ", False, 12.5),
        ("1e3", False, 1000.0),
        ("12,5", False, None),
        ("abc", False, None),
        ("", False, None),
        ("12,5", True, 12.5),
        ("1.234,5", True, 1234.5),
        ("1 234,5", True, 1234.5),
        ("-0,5", True, -0.5),
        ("1.234", True, 1234.0),
        ("12.345.678,9", True, 12345678.9),
        ("1\N{NO-BREAK SPACE}234,5", True, 1234.5),
        ("1'234", True, 1234.0),
        ("1234,5", True, 1234.5),
        ("1,5e3", True, 1500.0),
        ("13.5", True, None),
        ("13.50", True, None),
        ("1234.567", True, None),
        ("1.2345", True, None),
        ("1,234,567", True, None),
        ("1.234.5", True, None),
    ],
)
def test_numbers_are_read_as_their_country_writes_them(
    text: str, decimal_comma: bool, value: float | None
):
    frame = pl.DataFrame({"value": [text]})
    expression = parse_number("value", dtype=pl.String(), decimal_comma=decimal_comma)
    assert frame.select(expression).item() == value


def test_identifiers_lose_white_space_and_nothing_else():
    frame = pl.DataFrame({"text": [" a b ", " ", None], "whole": [7.0, 1e15, None]})
    assert frame.select(parse_identifier("text", dtype=pl.String())).to_series().to_list() == [
        "a b",
        None,
        None,
    ]
    numbers = frame.select(parse_identifier("whole", dtype=pl.Float64())).to_series().to_list()
    assert numbers == ["7", "1000000000000000", None]


def test_a_float_that_is_no_whole_number_names_nobody():
    frame = pl.DataFrame({"who": [2.0, 2.5, -0.5, 1e17, float("nan"), float("inf")]})
    names = frame.select(parse_identifier("who", dtype=pl.Float64())).to_series().to_list()
    assert names == ["2", None, None, None, None, None]


def test_a_unit_may_be_written_in_any_case_unless_the_case_is_a_factor():
    known = expand_unit_spellings(METER_UNITS)
    assert (known["kwh"], known["KWH"], known["wh"], known["MWh"]) == (1.0, 1.0, 1e-3, 1e3)
    assert "mwh" not in known
