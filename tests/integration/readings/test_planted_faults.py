from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from demo.files import write_demo
from smartgrid_core.readings.brackets import select_register_brackets
from smartgrid_core.readings.findings import (
    READING_FAULTS,
    collect_reading_findings,
    score_findings,
    select_unexplained_findings,
)
from smartgrid_core.readings.judgements import find_repeated_readings
from smartgrid_core.readings.vee import compute_interval_energy
from smartgrid_core.topology import list_sensor_voltages

LANDED = datetime(2026, 11, 22, 1, tzinfo=UTC)


def meters(file, *, landed: datetime) -> pl.DataFrame:
    instant = pl.col("timestamp").str.to_datetime(time_zone="UTC", time_unit="us")
    return pl.read_csv(file).with_columns(event_time=instant, ingested_at=pl.lit(landed))


@pytest.mark.slow
def test_every_planted_fault_of_the_readings_is_found_and_nothing_else(tmp_path):
    demo = write_demo(tmp_path / "landing", end=date(2026, 11, 22), days=14)
    first = [file for file in demo.first_files if file.name.startswith("meters-")]
    sent = pl.concat([meters(file, landed=LANDED) for file in first])
    late = [meters(file, landed=LANDED + timedelta(minutes=2)) for file in demo.late_files]
    readings = pl.concat([sent, *late]).unique(["meter_id", "event_time"], keep="last")
    measured = [file for file in demo.first_files if file.name.startswith("sensors-")]
    sensor_data = pl.concat([pl.read_parquet(file) for file in measured])
    topology = pl.read_csv(tmp_path / "landing" / "grid_topology.csv")
    planted = pl.read_parquet(demo.planted_faults)
    consumption = compute_interval_energy(
        readings,
        select_register_brackets(readings, days=list(demo.window.days())),
        window=demo.window,
        interval_minutes=15,
        register_capacity_kwh=1e6,
    )
    findings = collect_reading_findings(
        consumption=consumption,
        sensor_data=sensor_data.rename({"timestamp": "event_time"}),
        readings=readings,
        repeats=find_repeated_readings(sent),
        nominal_voltages=list_sensor_voltages(topology),
    )
    score = score_findings(findings, planted)
    assert set(score["kind"]) == set(READING_FAULTS)
    assert score.filter(~pl.col("found")).is_empty()
    assert select_unexplained_findings(findings, planted).is_empty()
