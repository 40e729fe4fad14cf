from datetime import date

import numpy as np
import polars as pl
import pytest

from demo.files import write_demo
from demo.grid import Grid
from demo.planning import plan_faults
from demo.planted_sensor_faults import PHASE_TRANSFORMERS, list_phase_sensors
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.time import DAY, Window, midnight

pytestmark = pytest.mark.slow

END = date(2026, 11, 22)
NEW = ("spike", "level_shift", "drift", "phase_imbalance")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Six and a half weeks: what the sensors say and the truth."""
    folder = tmp_path_factory.mktemp("demo") / "landing"
    manifest = write_demo(folder, end=END, days=45)
    files = sorted(folder.glob("sensors-*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]), pl.read_parquet(
        manifest.planted_faults
    )


def the_only(truth: pl.DataFrame, kind: str) -> dict:
    found = truth.filter(pl.col("kind") == kind)
    assert found.height == 1
    return found.row(0, named=True)


def said(rows: pl.DataFrame, sensor: str, quantity: str) -> pl.DataFrame:
    return rows.filter(pl.col("sensor_id") == sensor, pl.col("sensor_type") == quantity).select(
        "timestamp", "value"
    )


def during(fault: dict) -> pl.Expr:
    return pl.col("timestamp").is_between(fault["start_time"], fault["end_time"], closed="left")


@pytest.mark.parametrize(
    ("days", "planted"), [(44, set()), (45, set(NEW)), (60, set(NEW)), (366, set(NEW))]
)
def test_sensor_faults_are_planted_once_normal_is_known_and_each_on_a_sensor_of_its_own(
    days: int, planted: set[str]
):
    window = Window(midnight(END) - days * DAY, midnight(END))
    plan = plan_faults(Grid.load(), window=window, seed=3)
    mine = [fault for fault in plan.faults if fault.kind in NEW]

    assert {fault.kind for fault in mine} == planted
    assert all(fault.start >= window.start + 24 * DAY for fault in mine)
    assert all(fault.end <= window.end - 6 * DAY for fault in mine)
    on_sensors = [
        fault.subject_id
        for fault in plan.faults
        if fault.subject_kind == "sensor" and fault.kind != "weak_joint"
    ]
    assert len(set(on_sensors)) == len(on_sensors)
    overloaded = {f.subject_id for f in plan.faults if f.kind == "feeder_overload"}
    assert not {f"S-{feeder}" for feeder in overloaded} & set(on_sensors)


def test_other_faults_lie_where_they_lay():
    window = Window(midnight(END) - 60 * DAY, midnight(END))
    plan = plan_faults(Grid.load(), window=window, seed=7)
    old = [fault for fault in plan.faults if fault.kind not in (*NEW, "weak_joint")]

    assert plan.faults[: len(old)] == tuple(old)


def test_a_spike_is_one_reading_of_full_scale(demo):
    rows, truth = demo
    spike = the_only(truth, "spike")
    power = said(rows, spike["subject_id"], "power")

    assert power.filter(during(spike))["value"].to_list() == [spike["magnitude"]]
    assert power.filter(~during(spike))["value"].abs().max() < spike["magnitude"] / 2


def test_a_shifted_voltage_reads_a_fortieth_less_than_its_twin(demo):
    rows, truth = demo
    shift = the_only(truth, "level_shift")
    mine = said(rows, shift["subject_id"], "voltage")
    twin = next(
        f"S-{feeder}"
        for feeder in Grid.load().feeders["feeder_id"]
        if f"S-{feeder}" not in truth["subject_id"].to_list()
    )
    both = mine.join(said(rows, twin, "voltage"), on="timestamp", suffix="_twin")
    ratio = both.with_columns(ratio=pl.col("value") / pl.col("value_twin"))

    assert ratio.filter(during(shift))["ratio"].to_numpy() == pytest.approx(0.975, abs=1e-5)
    assert ratio.filter(~during(shift))["ratio"].to_numpy() == pytest.approx(1.0)


def test_a_drifting_voltage_creeps_up_and_is_right_again_afterwards(demo):
    rows, truth = demo
    drift = the_only(truth, "drift")
    mine = said(rows, drift["subject_id"], "voltage")
    daily = mine.filter(during(drift)).with_columns(
        day=(pl.col("timestamp") - drift["start_time"]).dt.total_days()
    )
    medians = daily.group_by("day").agg(pl.col("value").median()).sort("day")["value"]

    assert medians[-1] / medians[0] == pytest.approx(1.03, abs=0.01)
    after = mine.filter(pl.col("timestamp") >= drift["end_time"])["value"].median()
    before = mine.filter(pl.col("timestamp") < drift["start_time"])["value"].median()
    assert after == pytest.approx(before, rel=0.01)


def test_phases_sum_to_three_times_the_transformers_current(demo):
    rows, truth = demo
    uneven = the_only(truth, "phase_imbalance")
    place = uneven["subject_id"].rpartition("-")[0]
    phases = [said(rows, f"{place}-L{n}", "current")["value"].to_numpy() for n in (1, 2, 3)]
    whole = said(rows, place, "current")

    assert np.sum(phases, axis=0) == pytest.approx(3 * whole["value"].to_numpy(), abs=0.01)
    share = said(rows, uneven["subject_id"], "current").with_columns(
        share=pl.col("value") / whole["value"] - 1
    )
    assert share.filter(during(uneven))["share"].median() > 0.35
    assert abs(share.filter(~during(uneven))["share"].median()) < 0.1


def test_phase_sensors_hang_on_their_transformers_in_the_tree(tmp_path):
    write_demo(tmp_path / "landing", end=END, days=7)
    tree = pl.read_csv(tmp_path / "landing" / "grid_topology.csv")
    phases = tree.filter(
        pl.col("node_id").is_in(list_phase_sensors(Grid.load())["sensor_id"].to_list())
    )

    assert sorted(phases["parent_id"].unique()) == sorted(PHASE_TRANSFORMERS)
    assert phases.height == 6
    assert tree.columns == GridTopology.column_names()
