"""Rows that stand in PostgreSQL and in the lake, when the lake fails in between."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from smartgrid_assets.storing import replace_in_both
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.time import Window
from smartgrid_io.parquet_lake import ParquetLake
from smartgrid_io.postgres.warehouse import PostgresWarehouse

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = Window.of_days(date(2026, 3, 1), date(2026, 3, 3))


def load(*, kw: float, hours: int = 72) -> pl.DataFrame:
    return FeederLoad.validate(
        pl.DataFrame(
            {
                "feeder_id": "F1",
                "hour_start": [FIRST + timedelta(hours=n) for n in range(hours)],
                "load_kw": kw,
                "meters": 1,
                "expected_meters": 1,
                "estimated_share": 0.0,
            }
        ),
        cast=True,
    )


def find_levels(rows: pl.DataFrame) -> list[tuple[int, float]]:
    """The load of every day of March, kW."""
    return rows.select(pl.col("hour_start").dt.day(), "load_kw").unique().sort("hour_start").rows()


def test_after_a_lake_that_failed_a_rerun_leaves_the_same_rows_in_both(
    warehouse: PostgresWarehouse, tmp_path: Path
):
    lake = ParquetLake(str(tmp_path))
    replace_in_both(FeederLoad, load(kw=1.0), lake=lake, warehouse=warehouse, window=DAYS)
    folder, aside = tmp_path / "feeder_load" / "day=2026-03-02", tmp_path / "aside"
    folder.rename(aside)
    folder.write_text("a file stands where the day's folder should")

    with pytest.raises(OSError, match="day=2026-03-02"):
        replace_in_both(FeederLoad, load(kw=2.0), lake=lake, warehouse=warehouse, window=DAYS)
    folder.unlink()
    aside.rename(folder)

    assert find_levels(warehouse.read(FeederLoad)) == [(1, 2.0), (2, 2.0), (3, 2.0)]
    assert find_levels(lake.scan(FeederLoad).collect()) == [(1, 2.0), (2, 1.0), (3, 1.0)]
    later = load(kw=3.0, hours=60)
    for _ in range(2):
        replace_in_both(FeederLoad, later, lake=lake, warehouse=warehouse, window=DAYS)
        assert lake.scan(FeederLoad).collect().equals(later)
        assert warehouse.read(FeederLoad).equals(later)
