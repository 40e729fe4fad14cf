"""Public measurements through the landing: as many readings as the files hold, and the same."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.readings.parsing import Dialect
from smartgrid_core.time import Window
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.postgres.warehouse import PostgresWarehouse

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.slow
def test_a_hundred_london_homes_land_as_wide_intervals(
    warehouse: PostgresWarehouse, shared_data: Path, tmp_path: Path
):
    source = shared_data / "lcl_london_2013" / "lcl_100_households_2013_30min_kwh_wide.parquet"
    homes = pl.read_parquet(source).filter(pl.col("timestamp").dt.month() == 2)
    homes.write_parquet(tmp_path / "homes.parquet")
    layout = LandingLayout(dialect=Dialect(reading_kind="interval", starts_interval_minutes=30))
    report = land_file(tmp_path / "homes.parquet", warehouse=warehouse, layout=layout, now=NOW)
    cells = homes.drop("timestamp").cast(pl.Float64)
    expected = sum(column.drop_nans().drop_nulls().len() for column in cells)
    assert (report.status, report.rows_new, report.rows_refused) == ("landed", expected, 0)
    rows = warehouse.read(MeterReadings)
    assert rows["reading"].sum() == pytest.approx(
        sum(column.drop_nans().sum() for column in cells), rel=1e-9
    )
    assert rows["event_time"].min() == datetime(2013, 2, 1, 0, 30, tzinfo=UTC)


@pytest.mark.slow
def test_the_house_in_sceaux_lands_as_three_sensors(
    warehouse: PostgresWarehouse, shared_data: Path, tmp_path: Path
):
    source = shared_data / "uci_household_power" / "uci_household_power_1min.parquet"
    house = pl.read_parquet(source).filter(
        pl.col("date_time").is_between(datetime(2007, 3, 20), datetime(2007, 4, 2))  # noqa: DTZ001 - as the file has it
    )
    house.write_parquet(tmp_path / "house.parquet")
    layout = LandingLayout(
        columns={
            "Voltage": "sceaux:voltage",
            "Global_intensity": "sceaux:current",
            "Global_active_power": "sceaux:power",
        },
        dialect=Dialect(timezone="UTC"),
    )
    report = land_file(tmp_path / "house.parquet", warehouse=warehouse, layout=layout, now=NOW)
    assert report.rows_refused == 0
    for column, kind in (("Voltage", "voltage"), ("Global_active_power", "power")):
        theirs = house[column].cast(pl.Float64).drop_nulls().drop_nans()
        ours = warehouse.read(
            SensorData,
            window=Window(datetime(2007, 3, 20, tzinfo=UTC), datetime(2007, 4, 3, tzinfo=UTC)),
        ).filter(sensor_type=kind)
        assert ours.height == theirs.len()
        assert ours["value"].mean() == pytest.approx(theirs.mean(), rel=1e-9)
