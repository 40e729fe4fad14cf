"""Local times of the hour that the clock shows twice, across blocks of a file and deliveries."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smartgrid_core.contracts.readings import MeterReadings, Quarantine
from smartgrid_core.readings.parsing import Dialect
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport
from smartgrid_io.landing.text import BLOCK_BYTES
from smartgrid_io.postgres.warehouse import PostgresWarehouse
from tests.integration.smartgrid_io.landing.landed import NOW, Land, counts

TIRANE = LandingLayout(dialect=Dialect(timezone="Europe/Tirane"))
"""Its clock showed the hour from 02:00 twice on 27 October 2024."""


@pytest.fixture
def land(warehouse: PostgresWarehouse, tmp_path: Path) -> Land:
    def write_and_land(content: str, name: str = "file.csv") -> LandingReport:
        path = tmp_path / name
        path.write_text(content)
        return land_file(path, warehouse=warehouse, layout=TIRANE, now=NOW)

    return write_and_land


def test_an_autumn_hour_that_straddles_two_blocks_is_read_twice(
    land: Land, warehouse: PostgresWarehouse
):
    meters, quarters = (
        9000,
        [*("01:30", "01:45"), *["02:00", "02:15", "02:30", "02:45"] * 2, "03:00"],
    )
    lines = [
        f"METER-{meter:08},{100 + number},2024-10-27 {quarter}"
        for number, quarter in enumerate(quarters)
        for meter in range(meters)
    ]
    text = "\n".join(["meter_id,reading,timestamp", *lines])
    assert len(text) > BLOCK_BYTES
    report = land(text)
    assert counts(report) == ("landed", len(lines), 0, 0, 0)
    start = datetime(2024, 10, 26, 23, 30, tzinfo=UTC)
    stored = warehouse.read(MeterReadings).group_by("event_time", "reading").len().sort("reading")
    assert stored.rows() == [
        (start + timedelta(minutes=15) * number, 100.0 + number, meters)
        for number in range(len(quarters))
    ]


def test_an_autumn_hour_that_straddles_two_deliveries_is_read_twice(
    land: Land, warehouse: PostgresWarehouse
):
    def hourly(*readings: str) -> str:
        return "meter_id,reading,timestamp\n" + "".join(
            f"a,{number},2024-10-27 {hour}:00\n" for number, hour in enumerate(readings)
        )

    first, second = hourly("00", "01", "02"), hourly("02", "03", "04")
    assert counts(land(first, "first.csv")) == ("landed", 3, 0, 0, 0)
    assert counts(land(second, "second.csv")) == ("landed", 3, 0, 0, 0)
    assert warehouse.read(MeterReadings)["event_time"].to_list() == [
        datetime(2024, 10, 26, 22, tzinfo=UTC) + timedelta(hours=hour) for hour in range(6)
    ]


def test_an_autumn_hour_that_nothing_tells_apart_is_refused(
    land: Land, warehouse: PostgresWarehouse
):
    report = land("time,a,b\n2024-10-27 02:00,1,2\n2024-10-27 05:00,3,4\n")
    assert counts(report) == ("landed", 2, 0, 0, 2)
    (refusal,) = report.refusals
    assert (refusal.reason, refusal.rows) == ("ambiguous_time", 1)
    assert "send times with an offset" in refusal.message
    assert warehouse.read(Quarantine).select("row_number", "reason").rows() == [
        (1, "ambiguous_time")
    ]
