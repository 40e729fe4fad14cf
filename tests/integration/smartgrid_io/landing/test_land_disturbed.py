"""Landings that are killed, doubled, repeated or no table at all: nothing is lost or twice."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest

from smartgrid_core.contracts.readings import (
    LandedFiles,
    MeterReadings,
    Quarantine,
    RepeatedReadings,
)
from smartgrid_core.errors import LandingError
from smartgrid_core.readings.parsing import Dialect
from smartgrid_io.landing.folder import find_candidates
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport, Refusal
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
        found = find_candidates(folder, warehouse=warehouse, now=now, grace=grace)
        return [candidate.name for candidate in found]

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
        patch.setattr("smartgrid_io.landing.judge.RowJudge.judge", fail)
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
