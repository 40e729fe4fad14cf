"""Claims: every planted fault that readings show is found, one false alarm per sensor and month.

And one new day costs one day: seconds for a day out of yesterday's state, beside those for the
first weeks again. Reference for the false alarms: three standard deviations around the mean of the
hour, the textbook's rule. Run: `python -m benchmarks.anomalies_demo [--seeds 7 3]`.
"""

import argparse
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from demo.files import write_demo
from smartgrid_core.time import DAY
from smartgrid_ml.mining.anomalies import grid_inputs
from smartgrid_ml.mining.anomalies.detect import Detection, detect
from smartgrid_ml.mining.anomalies.evaluation.ground_truth import (
    count_most_per_month,
    find_false_alarms,
    match_faults,
)
from smartgrid_ml.mining.anomalies.evaluation.metrics import find_row_runs

END, DAYS = date(2026, 11, 22), 60
SIGMAS = 3.0


def detect_sensor_anomalies(
    readings: pl.DataFrame, topology: pl.DataFrame, **options: object
) -> Detection:
    series = readings["series"].unique().to_list()
    return detect(
        readings,
        step=grid_inputs.choose_sensor_step(15),
        timezone="Europe/Tirane",
        country="AL",
        groups=grid_inputs.group_sensors(series),
        limits=grid_inputs.build_sensor_limits(topology),
        units=grid_inputs.look_up_units(series),
        **options,  # type: ignore[arg-type]
    )


def find_three_sigma_alarms(readings: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `Anomalies`: runs of readings beyond three deviations of their hour."""
    value, hour = pl.col("value"), pl.col("time").dt.hour()
    beyond = (value - value.mean().over("series", hour)).abs() > SIGMAS * value.std().over(
        "series", hour
    )
    runs = find_row_runs(readings.with_columns(beyond=beyond), "beyond", apart=timedelta(hours=3))
    return runs.select(
        start_time="start",
        end_time=pl.col("end") + DAY / 96,
        subject_id=pl.col("series").str.extract("^(.*)/"),
        subject_kind=pl.lit("sensor"),
        kind=pl.lit("spike"),
        reason=pl.lit(""),
    )


def measure(seed: int, folder: Path) -> None:
    demo = write_demo(folder, end=END, days=DAYS, seed=seed)
    topology = pl.read_csv(folder / "grid_topology.csv")
    planted = pl.read_parquet(demo.planted_faults).filter(pl.col("subject_kind") != "meter")
    files = sorted(folder.glob("sensors-*.parquet"))
    sensor_data = pl.concat([pl.read_parquet(file) for file in files])
    readings = grid_inputs.average_sensor_readings(
        sensor_data.rename({"timestamp": "event_time"}), step=grid_inputs.choose_sensor_step(15)
    )
    started = time.perf_counter()
    whole = detect_sensor_anomalies(readings, topology)
    seconds = time.perf_counter() - started
    rows = grid_inputs.to_anomaly_rows(whole.anomalies, subject_kind="sensor")
    faults = match_faults(rows, planted, topology=topology)
    alarms = find_false_alarms(rows, planted, topology=topology)
    sensors = demo.sensors
    months = DAYS / 30
    print(f"seed {seed}: {faults['found'].sum()} of {faults.height} planted faults found")
    print(
        f"  false alarms: {alarms.height}, {alarms.height / sensors / months:.2f} per sensor and "
        f"month, at most {count_most_per_month(alarms)} on one sensor in a month"
    )
    sigma = find_false_alarms(find_three_sigma_alarms(readings), planted, topology=topology)
    print(
        f"  three deviations of the hour: {sigma.height / sensors / months:.1f} per sensor and "
        f"month, at most {count_most_per_month(sigma)}"
    )
    last = pl.col("time") >= demo.window.end - DAY
    before = detect_sensor_anomalies(readings.filter(~last), topology)
    started = time.perf_counter()
    detect_sensor_anomalies(readings.filter(last), topology, state=before.states)
    day_seconds = time.perf_counter() - started
    size = before.states.estimated_size() / before.states.height / 1024
    print(
        f"  {DAYS} days: {seconds:.1f} s; one more out of the state: {day_seconds:.2f} s; "
        f"state {size:.0f} kB per series"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7])
    for seed in parser.parse_args().seeds:
        with tempfile.TemporaryDirectory() as folder:
            measure(seed, Path(folder) / "landing")


if __name__ == "__main__":
    main()
