"""Files into the warehouse: good rows once, bad rows in quarantine, whatever happens."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest

from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import (
    LandedFiles,
    MeterReadings,
    Quarantine,
    ReadingRevisions,
    RepeatedReadings,
    SensorData,
)
from smartgrid_core.errors import LandingError
from smartgrid_core.readings.parsing import Dialect
from smartgrid_io.landing.folder import landing_candidates
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport, Refusal
from smartgrid_io.postgres.warehouse import PostgresWarehouse

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
START = datetime(2026, 3, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)

Land = Callable[..., LandingReport]


@pytest.fixture
def land(warehouse: PostgresWarehouse, tmp_path: Path) -> Land:
    """Write content to a file and land it."""

    def write_and_land(
        content: str | bytes | pl.DataFrame,
        name: str = "file.csv",
        *,
        layout: LandingLayout | None = None,
        again: bool = False,
    ) -> LandingReport:
        path = tmp_path / name
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return land_file(
            path, warehouse=warehouse, layout=layout or LandingLayout(), now=NOW, again=again
        )

    return write_and_land


def counts(report: LandingReport) -> tuple[str, int, int, int, int]:
    return (
        report.status,
        report.rows_new,
        report.rows_changed,
        report.rows_repeated,
        report.rows_refused,
    )


def refusals(warehouse: PostgresWarehouse) -> list[tuple[int, str]]:
    return warehouse.read(Quarantine).select("row_number", "reason").rows()


METERS = """meter_id,customer_id,reading,timestamp,unit,reading_kind
a,C1,10.5,2026-03-01T00:00:00Z,kWh,register
a,C1,11.0,2026-03-01T00:15:00Z,kWh,register
b,C2,7000,2026-03-01T00:00:00Z,Wh,register
"""


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
    before = warehouse.touched_since(0)
    report = land(METERS, "renamed.csv")
    assert counts(report) == ("already_landed", 3, 0, 0, 0)
    assert warehouse.touched_since(0).equals(before)


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


def test_two_landings_of_one_file_at_once_load_it_once(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    path = tmp_path / "file.csv"
    path.write_text(METERS)

    def run(_: int) -> str:
        return land_file(path, warehouse=warehouse, layout=LandingLayout(), now=NOW).status

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(run, range(4))) == ["already_landed"] * 3 + ["landed"]
    assert warehouse.read(MeterReadings).height == 3


def test_files_with_the_same_rows_in_opposite_order_land_side_by_side(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    rows = [f"m{index},{index},2026-03-01T00:00:00Z" for index in range(3000)]
    for name, lines in (("up.csv", rows), ("down.csv", rows[::-1])):
        (tmp_path / name).write_text("\n".join(["meter_id,reading,timestamp", *lines]))

    def run(name: str) -> LandingReport:
        return land_file(tmp_path / name, warehouse=warehouse, layout=LandingLayout(), now=NOW)

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(run, ["up.csv", "down.csv"]))
    assert sorted(report.rows_new for report in reports) == [0, 3000]
    assert warehouse.read(MeterReadings).height == 3000


def test_a_file_that_grows_while_it_is_read_is_left_for_later(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    path = tmp_path / "file.csv"
    path.write_text(METERS)

    def grow(_name: str, _done: int, _of: int) -> None:
        with path.open("a") as file:
            file.write("a,C1,12.0,2026-03-01T00:30:00Z,kWh,register\n")

    report = land_file(path, warehouse=warehouse, layout=LandingLayout(), now=NOW, progress=grow)
    assert report.status == "growing"
    assert warehouse.read(MeterReadings).is_empty()
    assert warehouse.read(LandedFiles).is_empty()


def test_a_landing_that_is_killed_leaves_nothing_and_the_next_one_lands_all(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    path = tmp_path / "file.csv"
    lines = (
        f"m{n % 500},{n},{START + n // 500 * QUARTER:%Y-%m-%dT%H:%M:%SZ}" for n in range(250_000)
    )
    path.write_text("\n".join(["meter_id,reading,timestamp", *lines]))
    program = (
        "import sys\n"
        "from datetime import datetime, UTC\n"
        "from pathlib import Path\n"
        "from smartgrid_io.landing.land import land_file\n"
        "from smartgrid_io.landing.layout import LandingLayout\n"
        "from smartgrid_io.postgres.warehouse import PostgresWarehouse\n"
        "def tell(name, done, of): print('block', flush=True)\n"
        "land_file(Path(sys.argv[1]), warehouse=PostgresWarehouse(sys.argv[2]), "
        "layout=LandingLayout(), now=datetime(2026, 3, 30, tzinfo=UTC), progress=tell)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path), warehouse.url], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()  # a block is loaded, another is not
        process.kill()
    assert warehouse.read(LandedFiles).is_empty()
    report = land_file(
        path, warehouse=warehouse, layout=LandingLayout(), now=datetime(2026, 3, 30, tzinfo=UTC)
    )
    assert counts(report) == ("landed", 250_000, 0, 0, 0)
    assert warehouse.read(MeterReadings).height == 250_000


def test_the_folder_offers_complete_files_once(warehouse: PostgresWarehouse, tmp_path: Path):
    folder = tmp_path / "landing"
    folder.mkdir()
    for name in ("b.csv", "a.csv.gz", ".hidden.csv", "notes.md", "empty.csv"):
        (folder / name).write_bytes(b"" if name == "empty.csv" else METERS.encode())
    later = datetime.now(UTC) + timedelta(seconds=30)
    grace = timedelta(seconds=10)

    def names(now: datetime) -> list[str]:
        found = landing_candidates(folder, warehouse=warehouse, now=now, grace=grace)
        return [candidate.path.name for candidate in found]

    assert names(datetime.now(UTC)) == []
    assert names(later) == ["a.csv.gz", "b.csv"]
    land_file(folder / "b.csv", warehouse=warehouse, layout=LandingLayout(), now=later)
    assert names(later) == ["a.csv.gz"]
    os.utime(folder / "b.csv", (later.timestamp() + 60, later.timestamp() + 60))
    assert names(later + timedelta(minutes=5)) == ["a.csv.gz", "b.csv"]


def test_a_path_without_a_file_is_named(warehouse: PostgresWarehouse, tmp_path: Path):
    with pytest.raises(LandingError, match="is not a file"):
        land_file(tmp_path, warehouse=warehouse, layout=LandingLayout(), now=NOW)


def unusual_tables() -> dict[str, pl.DataFrame]:
    rows = {"meter_id": ["a"], "reading": [1.0], "timestamp": ["2026-03-01T00:00:00Z"]}
    return {
        "a list per reading": pl.DataFrame(rows | {"reading": [[1.0, 2.0]]}),
        "bytes for names": pl.DataFrame(rows | {"meter_id": [b"\xff\xfe"]}),
        "a record per name": pl.DataFrame(rows | {"meter_id": [{"a": 1}]}),
    }


@pytest.mark.parametrize("what", unusual_tables())
def test_a_file_of_which_no_table_can_be_made_is_refused_with_the_mend(
    land: Land, warehouse: PostgresWarehouse, what: str
):
    report = land(unusual_tables()[what], "odd.parquet")
    assert counts(report) == ("refused", 0, 0, 0, 0)
    assert "SMARTGRID_LANDING_COLUMNS" in (report.message or "")
    assert refusals(warehouse) == [(0, "unusable_file")]
    assert counts(land(METERS)) == ("landed", 3, 0, 0, 0)


def test_what_nobody_foresaw_in_a_file_refuses_that_file_alone(
    land: Land, warehouse: PostgresWarehouse, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise pl.exceptions.ComputeError("the sky fell\nin many words")

    with monkeypatch.context() as patch:
        patch.setattr("smartgrid_io.landing.land.judged", fail)
        report = land(METERS)
    assert report.message == (
        "file.csv: it cannot be read as a table (ComputeError: the sky fell): send plain columns "
        "of numbers, text and times, or leave a column out by SMARTGRID_LANDING_COLUMNS "
        '{"its name": "-"}'
    )
    assert refusals(warehouse) == [(0, "unusable_file")]
    assert counts(land(METERS + "c,C3,1,2026-03-01T00:00:00Z,kWh,register\n"))[1] == 4


def test_two_columns_that_mean_the_same_are_named(land: Land, warehouse: PostgresWarehouse):
    report = land("meter_id,reading,timestamp,Meter ID\na,1,2026-03-01T00:00:00Z,b\n")
    assert report.message == (
        "file.csv: columns 'meter_id' and 'Meter ID' both mean meter_id: leave one out by "
        'SMARTGRID_LANDING_COLUMNS, such as {"Meter ID": "-"}'
    )
    assert refusals(warehouse) == [(0, "unusable_file")]


def test_of_several_times_the_most_telling_one_counts(land: Land, warehouse: PostgresWarehouse):
    assert counts(land("meter_id,date,reading,timestamp\na,x,1,2026-03-01T00:00:00Z\n")) == (
        ("landed", 1, 0, 0, 0)
    )
    assert warehouse.read(MeterReadings)["event_time"].to_list() == [START]


def test_a_file_may_have_a_name_of_any_length_and_bytes(land: Land, warehouse: PostgresWarehouse):
    twice = METERS + METERS.splitlines()[1] + "\nb,C2,x,2026-03-01T00:00:00Z,Wh,register\n"
    assert counts(land(twice, "n" * 240 + ".csv")) == ("landed", 3, 0, 1, 1)
    assert counts(land("no table\n", os.fsdecode(b"caf\xe9.csv"))) == ("refused", 0, 0, 0, 0)
    assert sorted(warehouse.read(Quarantine)["source"]) == [
        "caf\N{REPLACEMENT CHARACTER}.csv",
        "n" * 240 + ".csv",
    ]


def test_a_failing_database_is_not_held_against_the_file(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    path = tmp_path / "file.csv"
    path.write_text(METERS)

    def fail(_name: str, _done: int, _of: int) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with pytest.raises(psycopg.OperationalError):
        land_file(path, warehouse=warehouse, layout=LandingLayout(), now=NOW, progress=fail)
    assert warehouse.read(LandedFiles).is_empty()
    assert warehouse.read(Quarantine).is_empty()


def test_a_landing_that_is_repeated_after_a_mended_setting_leaves_one_trace_of_each_fault(
    land: Land, warehouse: PostgresWarehouse
):
    line = "a,1,2026-03-01T00:00:00Z\n"
    content = "meter_id,reading,timestamp\n" + line * 3 + 'b,"2,5",2026-03-01T00:00:00Z\n,,\n'
    first = land(content, "first.csv")
    other = land(content + "\n", "first.csv")
    assert (counts(first), counts(other)) == (("landed", 1, 0, 2, 2), ("landed", 0, 0, 3, 2))
    repeats, refused = warehouse.read(RepeatedReadings), refusals(warehouse)
    assert repeats["rows"].to_list() == [2, 2]
    known = land(content, "second.csv")
    assert (known.status, known.refusals) == ("already_landed", first.refusals)
    assert [(each.reason, each.rows) for each in first.refusals] == [
        ("missing_id", 1),
        ("missing_time", 1),
        ("missing_value", 1),
    ]
    for _ in range(2):
        assert counts(land(content, "first.csv", again=True)) == ("landed", 0, 0, 3, 2)
        assert warehouse.read(RepeatedReadings).equals(repeats)
        assert refusals(warehouse) == refused
    mended = LandingLayout(dialect=Dialect(decimal_comma=True))
    assert counts(land(content, layout=mended, again=True)) == ("landed", 1, 0, 3, 1)
    assert warehouse.read(RepeatedReadings)["rows"].to_list() == [2, 2]


def test_a_file_that_was_refused_as_a_whole_says_so_until_it_is_landed_again(
    land: Land, warehouse: PostgresWarehouse
):
    content = "Who,reading,timestamp\na,1,2026-03-01T00:00:00Z\n"
    first, second = land(content), land(content)
    assert (first.status, second.status) == ("refused", "already_landed")
    assert first.is_refused_whole
    assert second.is_refused_whole
    assert first.message == second.message
    assert second.refusals == (Refusal("unusable_file", 1, first.message or ""),)
    mended = LandingLayout(columns={"Who": "meter_id"})
    third = land(content, layout=mended, again=True)
    assert (counts(third), third.refusals, third.message) == (("landed", 1, 0, 0, 0), (), None)
    assert not land(content).is_refused_whole
