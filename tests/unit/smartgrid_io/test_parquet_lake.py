"""The lake on a local folder: days replaced whole, read alone, never half written."""

import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from smartgrid_core.contracts.aggregates import DailyConsumption, FeederLoad
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.errors import ContractError
from smartgrid_core.time import Window
from smartgrid_io.parquet_lake import ParquetLake

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST = START.date()
THREE_DAYS = Window(START, START + 3 * DAY)


def loads(*rows: tuple[str, datetime, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [(feeder, hour, load, 3, 4, 0.0) for feeder, hour, load in rows],
        schema=FeederLoad.create_empty().schema,
        orient="row",
    )


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def lake(tmp_path: Path) -> ParquetLake:
    return ParquetLake(str(tmp_path))


def test_a_table_that_nobody_wrote_is_empty_and_has_its_columns(lake: ParquetLake):
    assert lake.scan(FeederLoad).collect().equals(FeederLoad.create_empty())
    assert lake.scan(FeederLoad, window=THREE_DAYS).collect().equals(FeederLoad.create_empty())
    assert lake.scan(PlantedFaults).collect().equals(PlantedFaults.create_empty())
    assert lake.days(FeederLoad) == []


@pytest.mark.parametrize("lazily", [False, True])
def test_a_window_is_kept_as_one_file_per_day_in_order_of_the_key(
    lake: ParquetLake, tmp_path: Path, lazily: bool
):
    rows = loads(("F2", START, 2), ("F1", START, 1), ("F1", START + 2 * DAY, 3))
    written = lake.replace(FeederLoad, rows.lazy() if lazily else rows, window=THREE_DAYS)
    assert files(tmp_path) == [
        "feeder_load/day=2026-03-01/part.parquet",
        "feeder_load/day=2026-03-02/part.parquet",
        "feeder_load/day=2026-03-03/part.parquet",
    ]
    assert written.count == 3
    assert written.max("load_kw") == 3.0
    assert lake.scan(FeederLoad).collect().rows() == [
        ("F1", START, 1.0, 3, 4, 0.0),
        ("F2", START, 2.0, 3, 4, 0.0),
        ("F1", START + 2 * DAY, 3.0, 3, 4, 0.0),
    ]


def test_a_day_without_rows_is_computed_but_holds_none(lake: ParquetLake):
    lake.replace(FeederLoad, loads(("F1", START, 1)), window=THREE_DAYS)
    assert lake.days(FeederLoad) == [FIRST]
    assert lake.list_computed_days(FeederLoad) == [FIRST, FIRST + DAY, FIRST + 2 * DAY]
    assert lake.scan(FeederLoad, window=THREE_DAYS).collect().height == 1


def test_days_one_by_one_or_in_one_window_are_the_same_bytes(tmp_path: Path):
    rows = loads(*(("F1", START + hours * timedelta(hours=1), hours) for hours in range(72)))
    together, alone = ParquetLake(str(tmp_path / "a")), ParquetLake(str(tmp_path / "b"))
    together.replace(FeederLoad, rows.reverse(), window=THREE_DAYS)
    for day in THREE_DAYS.days():
        own = rows.filter(pl.col("hour_start").dt.date() == day)
        alone.replace(FeederLoad, own.lazy(), window=Window.of_day(day))
    for name in files(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_days_new_content_takes_the_place_of_the_old_and_of_no_other(lake: ParquetLake):
    lake.replace(FeederLoad, loads(("F1", START, 1), ("F1", START + DAY, 2)), window=THREE_DAYS)
    lake.replace(FeederLoad, loads(("F2", START, 9)), window=Window.of_day(FIRST))
    assert lake.scan(FeederLoad).select("feeder_id", "load_kw").collect().rows() == [
        ("F2", 9.0),
        ("F1", 2.0),
    ]


def test_days_that_are_forgotten_are_as_if_never_computed(lake: ParquetLake, tmp_path: Path):
    lake.replace(FeederLoad, loads(("F1", START, 1), ("F1", START + DAY, 2)), window=THREE_DAYS)
    assert lake.delete_days(FeederLoad, [FIRST, FIRST - DAY]) == 1
    assert lake.list_computed_days(FeederLoad) == [FIRST + DAY, FIRST + 2 * DAY]
    assert lake.scan(FeederLoad).collect()["load_kw"].to_list() == [2.0]
    assert lake.delete_days(FeederLoad, [FIRST, FIRST - DAY]) == 0


def test_without_a_window_the_whole_table_is_replaced(lake: ParquetLake):
    lake.replace(FeederLoad, loads(("F1", START, 1), ("F1", START + DAY, 2)), window=THREE_DAYS)
    lake.replace(FeederLoad, loads(("F1", START + DAY, 5)))
    assert lake.list_computed_days(FeederLoad) == [FIRST + DAY]


def test_a_table_without_days_is_one_file(lake: ParquetLake, tmp_path: Path):
    lake.replace(PlantedFaults, PlantedFaults.create_empty())
    assert files(tmp_path) == ["planted_faults/part.parquet"]
    with pytest.raises(ContractError, match="kept whole"):
        lake.scan(PlantedFaults, window=THREE_DAYS)


def test_a_local_day_is_found_by_its_date(lake: ParquetLake):
    row = ("a", date(2026, 3, 2), 1.0, 0.0, 24, 24.0)
    rows = pl.DataFrame([row], schema=DailyConsumption.create_empty().schema, orient="row")
    lake.replace(DailyConsumption, rows, window=THREE_DAYS)
    assert lake.scan(DailyConsumption, window=Window.of_day(date(2026, 3, 2))).collect().rows() == [
        row
    ]
    assert lake.scan(DailyConsumption, window=Window.of_day(FIRST)).collect().is_empty()


def test_a_window_may_cut_a_day_when_it_reads_but_not_when_it_replaces(lake: ParquetLake):
    rows = loads(("F1", START, 1), ("F1", START + timedelta(hours=5), 2))
    lake.replace(FeederLoad, rows, window=Window.of_day(FIRST))
    early = Window(START, START + timedelta(hours=5))
    assert lake.scan(FeederLoad, window=early).collect()["load_kw"].to_list() == [1.0]
    with pytest.raises(ContractError, match="whole UTC days are replaced"):
        lake.replace(FeederLoad, rows, window=early)


@pytest.mark.parametrize("lazily", [False, True])
def test_a_refused_table_replaces_nothing(lake: ParquetLake, lazily: bool):
    good = loads(("F1", START, 1))
    lake.replace(FeederLoad, good, window=THREE_DAYS)

    def replace(rows: pl.DataFrame) -> None:
        lake.replace(FeederLoad, rows.lazy() if lazily else rows, window=THREE_DAYS)

    with pytest.raises(ContractError, match="a row of day 2026-03-04 lies outside the window"):
        replace(loads(("F1", START, 5), ("F1", START + 3 * DAY, 1)))
    with pytest.raises(ContractError, match="column 'estimated_share'"):
        replace(loads(("F1", START, 5)).with_columns(estimated_share=pl.lit(2.0)))
    with pytest.raises(ContractError, match="primary_key"):
        replace(loads(("F1", START, 5), ("F1", START, 6)))
    with pytest.raises(ContractError, match="column 'hour_start' is missing"):
        replace(good.drop("hour_start"))
    assert lake.scan(FeederLoad).collect().equals(good)


def test_days_outside_the_window_are_not_opened(lake: ParquetLake, tmp_path: Path):
    lake.replace(FeederLoad, loads(("F1", START, 1)), window=Window.of_day(FIRST))
    broken = tmp_path / "feeder_load" / "day=2026-03-02" / "part.parquet"
    broken.parent.mkdir()
    broken.write_bytes(b"not parquet")
    assert lake.scan(FeederLoad, window=Window.of_day(FIRST)).collect().height == 1


def test_what_a_crash_left_is_ignored_and_swept_when_it_is_old(lake: ParquetLake, tmp_path: Path):
    folder = tmp_path / "feeder_load" / "day=2026-03-01"
    folder.mkdir(parents=True)
    old, young = folder / ".part.parquet-1.tmp", folder / ".part.parquet-2.tmp"
    for leftover in (old, young):
        leftover.write_bytes(b"half a day")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    assert lake.scan(FeederLoad).collect().is_empty()
    assert lake.days(FeederLoad) == []
    lake.replace(FeederLoad, loads(("F1", START, 1)), window=Window.of_day(FIRST))
    assert [path.name for path in sorted(folder.iterdir())] == [young.name, "part.parquet"]


def test_a_file_from_before_a_column_was_added_is_still_read(lake: ParquetLake, tmp_path: Path):
    rows = pl.DataFrame(
        [("a", "gap", "meter", "m", START, START + DAY, None, "text")],
        schema=PlantedFaults.create_empty().schema,
        orient="row",
    )
    lake.replace(PlantedFaults, rows)
    rows.drop("magnitude").write_parquet(tmp_path / "planted_faults" / "part.parquet")
    assert lake.scan(PlantedFaults).collect().equals(rows)
