"""Sixty days of the demo grid, judged without Dagster: what was planted is found, little else."""

from datetime import date

import polars as pl
import pytest

from demo.files import write_demo
from smartgrid_ml.mining.anomalies import grid_inputs as inputs
from smartgrid_ml.mining.anomalies.detect import detect
from smartgrid_ml.mining.anomalies.evaluation.ground_truth import (
    SHOWN_AS,
    count_most_per_month,
    find_false_alarms,
    match_faults,
)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "end"), [(7, date(2026, 11, 22)), (3, date(2026, 11, 25))])
def test_every_planted_sensor_fault_is_found_with_one_false_alarm_a_month_at_most(
    tmp_path, seed: int, end: date
):
    folder = tmp_path / "landing"
    demo = write_demo(folder, end=end, days=60, seed=seed)
    topology = pl.read_csv(folder / "grid_topology.csv")
    on_sensors = pl.col("subject_kind") != "meter"
    planted = pl.read_parquet(demo.planted_faults).filter(on_sensors)
    said = pl.concat([pl.read_parquet(file) for file in sorted(folder.glob("sensors-*.parquet"))])
    step = inputs.choose_sensor_step(15)
    readings = inputs.average_sensor_readings(said.rename({"timestamp": "event_time"}), step=step)
    series = readings["series"].unique().to_list()

    detection = detect(
        readings,
        step=step,
        timezone="Europe/Tirane",
        country="AL",
        groups=inputs.group_sensors(series),
        limits=inputs.build_sensor_limits(topology),
        units=inputs.look_up_units(series),
    )

    anomalies = inputs.to_anomaly_rows(detection.anomalies, subject_kind="sensor")
    faults = match_faults(anomalies, planted, topology=topology)
    assert set(faults["kind"]) == {kind for kind, subject in SHOWN_AS if subject != "meter"}
    assert faults.filter(~pl.col("found")).is_empty()
    assert count_most_per_month(find_false_alarms(anomalies, planted, topology=topology)) <= 1
