"""Rows split into readings and refusals, whichever way they came."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.readings.parsing import Dialect
from smartgrid_core.readings.validation import Validated, validate_readings
from smartgrid_core.readings.validation_tables import validate_table

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIME = "2026-03-01T00:00:00Z"


def numbered(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None).with_columns(
        row_number=pl.int_range(1, len(rows) + 1, dtype=pl.Int64, eager=True)
    )


def meters(*rows: dict[str, object], dialect: Dialect | None = None) -> Validated:
    base = {"meter_id": "a", "reading": "1", "timestamp": TIME}
    frame = numbered(*({**base, **row} for row in rows))
    return validate_readings(
        MeterReadings, frame, now=NOW, dialect=dialect or Dialect(), source_id="file"
    )


def sensors(*rows: dict[str, object], dialect: Dialect | None = None) -> Validated:
    base = {"sensor_id": "s", "sensor_type": "voltage", "value": "230", "timestamp": TIME}
    frame = numbered(*({**base, **row} for row in rows))
    return validate_readings(
        SensorData, frame, now=NOW, dialect=dialect or Dialect(), source_id="file"
    )


def reasons(found: Validated) -> list[tuple[int, str]]:
    return found.bad.select("row_number", "reason").rows()


def test_a_reading_is_complete_with_what_its_source_leaves_unsaid():
    found = meters({}, dialect=Dialect(unit="Wh", reading_kind="interval"))
    assert found.good.to_dicts() == [
        {
            "event_id": "file-1",
            "meter_id": "a",
            "customer_id": None,
            "reading": 0.001,
            "unit": "kWh",
            "reading_kind": "interval",
            "event_time": datetime(2026, 3, 1, tzinfo=UTC),
            "ingested_at": NOW,
        }
    ]
    MeterReadings.validate(found.good)


def test_an_event_keeps_its_own_name():
    found = meters({"event_id": "e-1"}, {"event_id": " "})
    assert found.good["event_id"].to_list() == ["e-1", "file-2"]


def test_a_row_is_refused_once_for_each_of_its_faults():
    found = meters(
        {"meter_id": " ", "reading": "x", "timestamp": None, "unit": "BTU"}, {"unit": None}
    )
    assert reasons(found) == [
        (1, "missing_id"),
        (1, "missing_time"),
        (1, "unknown_unit"),
        (1, "unparsable_number"),
    ]
    assert (found.refused, found.good.height) == (1, 1)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"reading": "-0.5"}, "value_out_of_range"),
        ({"reading": "2e9"}, "value_out_of_range"),
        ({"reading": "inf"}, "not_finite"),
        ({"reading": ""}, "missing_value"),
        ({"reading_kind": "guess"}, "unknown_reading_kind"),
        ({"meter_id": "m" * 129}, "too_long_id"),
        ({"meter_id": "m\x00"}, "control_character"),
        ({"customer_id": "c\x00"}, "control_character"),
        ({"timestamp": "2026-03-01T12:16:00Z"}, "future_time"),
        ({"timestamp": "1990-01-01T00:00:00Z"}, "ancient_time"),
        ({"timestamp": "2000-01-01T00:00:00Z"}, "ancient_time"),
    ],
)
def test_a_meter_reading_that_cannot_be_is_refused(row: dict[str, object], reason: str):
    assert reasons(meters(row)) == [(1, reason)]


def test_how_old_a_reading_may_be_is_a_setting_that_its_refusal_names():
    old = {"timestamp": "2026-02-27T12:00:00Z"}
    found = meters(old, {"meter_id": "b"}, dialect=Dialect(oldest_days=1))
    assert (reasons(found), found.good["meter_id"].to_list()) == ([(1, "ancient_time")], ["b"])
    assert found.bad["message"].to_list() == [
        "timestamp: before 2026-02-28: was the clock set? Older readings need "
        "SMARTGRID_LANDING_OLDEST_DAYS"
    ]
    assert meters(old, dialect=Dialect(oldest_days=3)).bad.is_empty()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"sensor_type": "humidity"}, "unknown_sensor_type"),
        ({"sensor_type": None}, "unknown_sensor_type"),
        ({"unit": "A"}, "unknown_unit"),
        ({"value": "-1"}, "value_out_of_range"),
        ({"sensor_type": "frequency", "value": "5000"}, "value_out_of_range"),
        ({"latitude": "91"}, "bad_place"),
        ({"longitude": "east"}, "bad_place"),
        ({"metadata": "{broken"}, "bad_metadata"),
        ({"metadata": '{"a": NaN}'}, "bad_metadata"),
        ({"metadata": '"\\u0000"'}, "bad_metadata"),
    ],
)
def test_a_sensor_reading_that_cannot_be_is_refused(row: dict[str, object], reason: str):
    assert reasons(sensors(row)) == [(1, reason)]


def test_sensor_units_come_to_volts_amperes_kilowatts_and_hertz():
    found = sensors(
        {"value": "0.23", "unit": "kV"},
        {"sensor_type": "Current", "value": "1500", "unit": "mA"},
        {"sensor_type": "power", "value": "-2500", "unit": "W"},
        {"sensor_type": "power", "value": "1", "unit": "MW"},
        {"sensor_type": "frequency", "value": "50", "unit": ""},
    )
    assert found.good["value"].to_list() == [230.0, 1.5, -2.5, 1000.0, 50.0]
    assert reasons(found) == []


def test_a_clock_may_run_ahead_a_little():
    ahead = (NOW + timedelta(minutes=15)).isoformat()
    assert meters({"timestamp": ahead}).good.height == 1


def test_the_start_of_an_interval_becomes_its_end():
    dialect = Dialect(reading_kind="interval", starts_interval_minutes=30)
    found = meters({}, {"reading_kind": "register"}, dialect=dialect)
    assert found.good["event_time"].to_list() == [
        datetime(2026, 3, 1, 0, 30, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
    ]


def test_when_the_clock_goes_back_each_quantity_of_a_sensor_has_its_own_two_hours():
    rows = [
        {"sensor_type": kind, "value": "50", "timestamp": "2025-10-26 02:30"}
        for kind in ("voltage", "Current", "voltage", "current")
    ]
    found = sensors(*rows, dialect=Dialect(timezone="Europe/Berlin"))
    first, second = (datetime(2025, 10, 26, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert found.good.select("sensor_type", "event_time").rows() == [
        ("voltage", first),
        ("current", first),
        ("voltage", second),
        ("current", second),
    ]


def test_when_the_clock_goes_back_each_kind_of_reading_has_its_own_two_hours():
    rows = [
        {"reading_kind": kind, "timestamp": "2025-10-26 02:30"}
        for kind in ("interval", "register", "", "interval")
    ]
    found = meters(*rows, dialect=Dialect(timezone="Europe/Berlin"))
    first, second = (datetime(2025, 10, 26, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert found.good["event_time"].to_list() == [first, first, second, second]


def test_a_meter_is_not_named_by_a_fraction():
    found = meters({"meter_id": 2.0}, {"meter_id": 2.5}, {"meter_id": None})
    assert found.good["meter_id"].to_list() == ["2"]
    assert found.bad.select("row_number", "reason", "message").rows() == [
        (2, "unparsable_id", "meter_id: an identifier is text or a whole number"),
        (3, "missing_id", "meter_id: every reading needs one"),
    ]


def test_a_decimal_point_is_refused_where_numbers_have_a_decimal_comma():
    found = meters({"reading": "13.5"}, {"reading": "13,5"}, dialect=Dialect(decimal_comma=True))
    assert found.good["reading"].to_list() == [13.5]
    assert found.bad.select("row_number", "reason", "message").rows() == [
        (
            1,
            "unparsable_number",
            "reading: a number such as 1.234,5 is expected; "
            "12.5 needs SMARTGRID_LANDING_DECIMAL_COMMA=false",
        )
    ]


def test_weather_is_judged_by_its_contract():
    frame = numbered(
        {"station_id": "s", "hour_start": TIME, "temperature_c": "8", "humidity_pct": "80"},
        {"station_id": "s", "hour_start": TIME, "temperature_c": "9", "humidity_pct": ""},
        {"station_id": "s", "hour_start": TIME, "temperature_c": "99", "humidity_pct": "180"},
        {"station_id": "", "hour_start": "noon", "temperature_c": "warm", "humidity_pct": None},
    )
    found = validate_table(Weather, frame, dialect=Dialect())
    Weather.validate(found.good)
    assert found.good["temperature_c"].to_list() == [9.0]
    assert (found.overtaken, found.refused) == (1, 2)
    assert found.bad.select("row_number", "reason", "column").sort(
        "row_number", "column"
    ).rows() == [
        (3, "value_out_of_range", "humidity_pct"),
        (3, "value_out_of_range", "temperature_c"),
        (4, "unparsable_value", "hour_start"),
        (4, "missing_value", "station_id"),
        (4, "unparsable_value", "temperature_c"),
    ]


CELLS = st.one_of(st.none(), st.text(max_size=8), st.sampled_from(["1", "a", TIME, "kWh", "NaN"]))


@given(
    st.lists(
        st.fixed_dictionaries(
            dict.fromkeys(("meter_id", "reading", "timestamp", "unit", "customer_id"), CELLS)
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_a_row_holds_it_is_a_sound_reading_or_refused(rows: list[dict[str, object]]):
    schema = dict.fromkeys(rows[0], pl.String)
    frame = pl.DataFrame(rows, schema=schema).with_columns(
        row_number=pl.int_range(1, len(rows) + 1, dtype=pl.Int64, eager=True)
    )
    found = validate_readings(MeterReadings, frame, now=NOW, dialect=Dialect(), source_id="f")
    assert found.good.height + found.refused == len(rows)
    assert found.bad["row_number"].n_unique() == found.refused
    MeterReadings.validate(found.good.unique(MeterReadings.primary_key()))
