"""Files into the warehouse: good rows once, bad rows in quarantine, in every packing and form."""

import gzip
from datetime import UTC, date, datetime

import polars as pl
import pytest

from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import (
    LandedFiles,
    MeterReadings,
    Quarantine,
    ReadingRevisions,
    SensorData,
)
from smartgrid_core.readings.parsing import Dialect
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.postgres.warehouse import PostgresWarehouse
from tests.integration.smartgrid_io.landing.landed import (
    METERS,
    NOW,
    QUARTER,
    START,
    Land,
    counts,
    refusals,
)


def test_a_file_of_meter_readings_lands_in_kwh_and_names_its_days(
    land: Land, warehouse: PostgresWarehouse
):
    report = land(METERS)
    assert counts(report) == ("landed", 3, 0, 0, 0)
    assert report.days == [START.date()]
    columns = ("meter_id", "customer_id", "reading", "unit", "reading_kind", "event_time")
    assert warehouse.read(MeterReadings).select(columns).rows() == [
        ("a", "C1", 10.5, "kWh", "register", START),
        ("a", "C1", 11.0, "kWh", "register", START + QUARTER),
        ("b", "C2", 7.0, "kWh", "register", START),
    ]
    assert warehouse.read(LandedFiles).drop("source_sha256").to_dicts() == [
        {
            "source": "file.csv",
            "dataset": "meter_readings",
            "size_bytes": len(METERS),
            "rows_read": 3,
            "rows_new": 3,
            "rows_changed": 0,
            "rows_repeated": 0,
            "rows_refused": 0,
            "landed_at": NOW,
        }
    ]


def test_a_file_that_is_sent_again_under_another_name_does_nothing(
    land: Land, warehouse: PostgresWarehouse
):
    land(METERS)
    before = warehouse.read_touched_since(0)
    report = land(METERS, "renamed.csv")
    assert counts(report) == ("already_landed", 3, 0, 0, 0)
    assert warehouse.read_touched_since(0).equals(before)


def test_another_file_with_the_same_rows_repeats_them_and_one_new_value_is_a_revision(
    land: Land, warehouse: PostgresWarehouse
):
    land(METERS)
    report = land(METERS.replace("11.0", "12.0") + "c,,1,2026-03-02T00:00:00Z,,\n", "next.csv")
    assert counts(report) == ("landed", 1, 1, 2, 0)
    assert report.days == [date(2026, 3, 1), date(2026, 3, 2)]
    revisions = warehouse.read(ReadingRevisions)
    assert revisions.select("subject_id", "old_value", "new_value", "source").rows() == [
        ("a", 11.0, 12.0, "next.csv")
    ]


def test_bad_rows_are_kept_with_their_number_and_reason_and_good_ones_load(
    land: Land, warehouse: PostgresWarehouse
):
    report = land(
        "sensor_id,sensor_type,value,timestamp,unit\n"
        "s1,voltage,230.5,2026-03-01T00:00:00Z,V\n"  # 1: good
        ",voltage,230.5,2026-03-01T00:00:00Z,V\n"
        "s1,voltage,abc,2026-03-01T00:15:00Z,V\n"
        "s1,voltage,NaN,2026-03-01T00:30:00Z,V\n"
        "s1,voltage,-5,2026-03-01T00:45:00Z,V\n"
        "s1,voltage,230.5,2026-13-01T00:00:00Z,V\n"
        "s1,voltage,230.5,2027-03-01T00:00:00Z,V\n"
        "s1,humidity,50,2026-03-01T00:00:00Z,\n"
        "s1,voltage,230.5,2026-03-01T01:00:00Z,A\n"
        "s1,voltage,230.5,1970-01-01T00:00:00Z,V\n"
        "s1,voltage,,2026-03-01T00:00:00Z,V\n"
        's1,voltage,"1,5",2026-03-01T00:00:00Z,V,extra\n'
        "s1,current,4000,2026-03-01T00:00:00Z,mA\n"  # 13: good
    )
    assert counts(report) == ("landed", 2, 0, 0, 11)
    assert refusals(warehouse) == [
        (2, "missing_id"),
        (3, "unparsable_number"),
        (4, "not_finite"),
        (5, "value_out_of_range"),
        (6, "unparsable_time"),
        (7, "future_time"),
        (8, "unknown_sensor_type"),
        (9, "unknown_unit"),
        (10, "ancient_time"),
        (11, "missing_value"),
        (12, "too_many_cells"),
    ]
    third = warehouse.read(Quarantine).filter(row_number=3).drop("source_sha256", "message")
    assert third.to_dicts() == [
        {
            "row_number": 3,
            "reason": "unparsable_number",
            "source": "file.csv",
            "dataset": "sensor_data",
            "column": "value",
            "raw": '{"sensor_id":"s1","sensor_type":"voltage","value":"abc",'
            '"timestamp":"2026-03-01T00:15:00Z","unit":"V"}',
            "quarantined_at": NOW,
        }
    ]
    assert warehouse.read(SensorData).select("sensor_type", "value").rows() == [
        ("current", 4.0),
        ("voltage", 230.5),
    ]


def test_a_missing_column_refuses_the_file_and_names_the_mend(
    land: Land, warehouse: PostgresWarehouse
):
    report = land("MeterNo,reading,timestamp\na,1,2026-03-01T00:00:00Z\n")
    assert report.status == "refused"
    assert refusals(warehouse) == [(0, "unusable_file")]
    (message,) = warehouse.read(Quarantine)["message"]
    assert message == (
        "file.csv: column 'meter_id' is missing: a meter_readings file needs meter_id, reading, "
        "timestamp; found MeterNo, reading, timestamp. Name your columns in "
        'SMARTGRID_LANDING_COLUMNS, such as {"your column": "meter_id"}'
    )
    mended = LandingLayout(columns={"MeterNo": "meter_id"})
    content = "MeterNo,reading,timestamp\na,1,2026-03-01T00:00:00Z\n"
    assert land(content, layout=mended).status == "already_landed"
    assert counts(land(content, layout=mended, again=True)) == ("landed", 1, 0, 0, 0)
    assert refusals(warehouse) == []


@pytest.mark.parametrize(
    "packing", ["gzip", "utf-8-sig", "utf-16", "utf-16-le", "crlf", "quoted", "cr"]
)
def test_the_same_readings_land_from_every_packing(
    land: Land, warehouse: PostgresWarehouse, packing: str
):
    content = {
        "gzip": gzip.compress(METERS.encode()),
        "crlf": METERS.replace("\n", "\r\n").encode(),
        "cr": METERS.replace("\n", "\r").encode(),
        "quoted": "\n".join(
            ",".join(f'"{cell}"' for cell in line.split(",")) for line in METERS.split()
        ).encode(),
    }.get(packing) or METERS.encode(packing)
    assert counts(land(content)) == ("landed", 3, 0, 0, 0)
    assert warehouse.read(MeterReadings)["reading"].to_list() == [10.5, 11.0, 7.0]


def test_bytes_in_a_foreign_encoding_cost_their_rows_until_the_setting_is_mended(
    land: Land, warehouse: PostgresWarehouse
):
    content = METERS.replace("\nb,", "\nZähler,").encode("latin-1")
    assert counts(land(content)) == ("landed", 2, 0, 0, 1)
    row = warehouse.read(Quarantine).select("row_number", "reason", "raw").row(0)
    assert row == (3, "wrong_encoding", "Zähler,C2,7000,2026-03-01T00:00:00Z,Wh,register")
    mended = LandingLayout(encoding="cp1252")
    assert counts(land(content, layout=mended, again=True)) == ("landed", 1, 0, 2, 0)
    utf8 = METERS.replace("\nb,", "\nZähler,").replace("11.0", "12.0")
    assert counts(land(utf8, "utf8.csv", layout=mended)) == ("landed", 0, 1, 2, 0)
    assert warehouse.read(MeterReadings)["meter_id"].to_list() == ["Zähler", "a", "a"]
    assert refusals(warehouse) == []


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (gzip.compress(METERS.encode() * 50, mtime=0)[:-20], "cut.csv.gz", "cut_short"),
        (b"PAR1 and no footer", "cut.parquet", "cut_short"),
        (b"PK\x03\x04 a spreadsheet", "book.csv", "unusable_file"),
        (b"\x7fELF\x00\x00\x01\x02\x03\x04", "program.csv", "unusable_file"),
        (b"", "empty.csv", "unusable_file"),
        (b"\n\n", "blank.csv", "unusable_file"),
        (b"a,a\n1,2\n", "twice.csv", "unusable_file"),
    ],
    ids=["cut gzip", "cut parquet", "zip", "program", "empty", "blank", "column twice"],
)
def test_what_is_no_whole_table_is_refused_whole(
    land: Land, warehouse: PostgresWarehouse, content: bytes, name: str, reason: str
):
    assert land(content, name).status == "refused"
    assert refusals(warehouse) == [(0, reason)]
    assert warehouse.read(MeterReadings).is_empty()


def test_a_file_with_a_header_alone_lands_nothing(land: Land):
    assert counts(land("meter_id,reading,timestamp\n")) == ("landed", 0, 0, 0, 0)


def test_a_wide_table_has_a_reading_per_cell_and_names_bad_cells(
    land: Land, warehouse: PostgresWarehouse
):
    report = land(
        "timestamp,MAC1,MAC2,MAC3\n"
        "2026-03-01 00:30:00,0.5,,1.5\n"
        "2026-03-01 01:00:00,x,-2,1.25\n"
        "2026-03-01 01:30:00,y,z,1\n",
        layout=LandingLayout(dialect=Dialect(reading_kind="interval")),
    )
    assert counts(report) == ("landed", 4, 0, 0, 4)
    half_past = START + 2 * QUARTER
    assert warehouse.read(MeterReadings).select("meter_id", "event_time", "reading").rows() == [
        ("MAC1", half_past, 0.5),
        ("MAC3", half_past, 1.5),
        ("MAC3", half_past + 2 * QUARTER, 1.25),
        ("MAC3", half_past + 4 * QUARTER, 1.0),
    ]
    assert warehouse.read(Quarantine).select("row_number", "reason", "column").rows() == [
        (2, "unparsable_number", "MAC1"),
        (2, "value_out_of_range", "MAC2"),
        (3, "unparsable_number", "MAC1, MAC2"),
    ]


def test_a_wide_table_of_one_house_is_mapped_to_sensor_and_type(
    land: Land, warehouse: PostgresWarehouse
):
    frame = pl.DataFrame(
        {
            "date_time": pl.Series(["2026-03-01 00:01", "2026-03-01 00:02"]).str.to_datetime(),
            "Voltage": pl.Series([234.5, None], dtype=pl.Float32),
            "Global_active_power": pl.Series([4.25, float("nan")], dtype=pl.Float32),
            "Sub_metering_1": pl.Series([0.0, 1.0], dtype=pl.Float32),
        }
    )
    layout = LandingLayout(
        columns={"Voltage": "house:voltage", "Global_active_power": "house:power"},
        dialect=Dialect(timezone="Europe/Paris"),
    )
    assert counts(land(frame, "house.parquet", layout=layout)) == ("landed", 2, 0, 0, 0)
    an_hour_earlier = datetime(2026, 2, 28, 23, 1, tzinfo=UTC)
    assert warehouse.read(SensorData).select(
        "sensor_id", "sensor_type", "value", "event_time"
    ).rows() == [
        ("house", "power", 4.25, an_hour_earlier),
        ("house", "voltage", 234.5, an_hour_earlier),
    ]


def test_local_decimal_and_interval_habits_are_settings(land: Land, warehouse: PostgresWarehouse):
    layout = LandingLayout(
        columns={"Zählpunkt": "meter_id", "Verbrauch": "reading", "Zeit": "timestamp"},
        dialect=Dialect(
            timezone="Europe/Berlin",
            decimal_comma=True,
            unit="Wh",
            reading_kind="interval",
            starts_interval_minutes=15,
        ),
    )
    land("Zählpunkt;Verbrauch;Zeit\na;1.250,5;2025-07-01 00:00\n", layout=layout)
    columns = ("meter_id", "reading", "reading_kind", "event_time")
    assert warehouse.read(MeterReadings).select(columns).rows() == [
        ("a", 1.2505, "interval", datetime(2025, 6, 30, 22, 15, tzinfo=UTC))
    ]


def test_weather_and_topology_land_by_their_columns(land: Land, warehouse: PostgresWarehouse):
    weather = land(
        "station_id,time,temperature_c,humidity_pct\n"
        "s,2026-03-01T00:00:00Z,7.5,80\n"
        "s,2026-03-01T01:00:00Z,70,\n"
        "s,2026-03-01T02:00:00Z,,90\n"
        "s,2026-03-01T00:00:00Z,8.5,80\n",
        "weather.csv",
    )
    assert counts(weather) == ("landed", 1, 0, 1, 2)
    assert weather.days == [START.date()]
    assert warehouse.read(Weather).select("temperature_c", "humidity_pct", "known_at").rows() == [
        (8.5, 80.0, None)
    ], "nine days late: when it could first be had is unknown"
    news = land("station_id,time,temperature_c\ns,2026-03-10T10:00:00Z,9\n", "news.csv")
    assert counts(news) == ("landed", 1, 0, 0, 0)
    assert warehouse.read(Weather)["known_at"].to_list() == [None, NOW]
    topology = land(
        "node_id,node_kind,parent_id,name,latitude,longitude,nominal_voltage_v\n"
        "S,substation,,North,41.3,19.8,20000\n"
        "F,feeder,S,North 1,41.3,19.8,\n"
        "X,kiosk,S,?,41.3,19.8,\n",
        "grid.csv",
    )
    assert counts(topology) == ("landed", 2, 0, 0, 1)
    assert warehouse.read(GridTopology).select("node_id", "parent_id").rows() == [
        ("F", "S"),
        ("S", None),
    ]
    assert sorted(refusals(warehouse)) == [
        (2, "value_out_of_range"),
        (3, "missing_value"),
        (3, "value_out_of_range"),
    ]
