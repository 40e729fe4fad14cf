"""The joint that gives way when its feeder's evening peaks, and leaves all other faults alone."""

from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from demo.faults import FaultOverlay, PlantedFault
from demo.grid import Grid
from demo.planning import plan_faults
from demo.planted_rule import APART, JOINT_HOURS, LOCAL_ZONE, plan_weak_joint
from smartgrid_core.time import DAY, HOUR, Window, midnight

SIXTY_DAYS = Window(midnight(date(2026, 11, 22)) - 60 * DAY, midnight(date(2026, 11, 22)))


def joints(grid: Grid, *, window: Window = SIXTY_DAYS, seed: int = 7) -> list[PlantedFault]:
    return plan_faults(grid, window=window, seed=seed).of("weak_joint", subject_kind="sensor")


def test_within_sixty_days_there_are_enough_evenings_for_a_rule(grid: Grid):
    planted = joints(grid)

    assert len(planted) >= 30
    assert len({fault.subject_id for fault in planted}) == 1
    local = [fault.start.astimezone(LOCAL_ZONE) for fault in planted]
    assert all(JOINT_HOURS[0] <= at.hour < JOINT_HOURS[1] for at in local)
    assert all(fault.end - fault.start <= 5 * HOUR for fault in planted)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_episode_comes_near_another_fault_of_its_sensor_or_lies_on_the_overload(
    grid: Grid, seed: int
):
    faults = plan_faults(grid, window=SIXTY_DAYS, seed=seed).faults
    episodes = [fault for fault in faults if fault.kind == "weak_joint"]
    others = [fault for fault in faults if fault.kind != "weak_joint"]
    sensor = episodes[0].subject_id
    overloaded = {fault.subject_id for fault in others if fault.subject_kind == "feeder"}

    assert sensor.split("-")[1] not in overloaded
    assert not [
        (one, other)
        for one in episodes
        for other in others
        if other.subject_id == sensor
        and one.start < other.end + APART
        and one.end > other.start - APART
    ]


def test_an_evening_with_another_fault_of_the_sensor_is_left_out(grid: Grid):
    hourly = pl.Series(range(48)).to_numpy().astype(float)[None, :].repeat(5, axis=0)
    window = Window.of_days(date(2026, 1, 14), date(2026, 1, 15))
    calm = list(plan_weak_joint(grid, window=window, hourly_kw=hourly, others=[]))
    sensors = [f"S-{name}" for name in grid.transformers["transformer_id"]]
    gaps = [replace(calm[0], kind="gap", subject_id=sensor) for sensor in sensors]

    assert len(calm) == 1
    assert list(plan_weak_joint(grid, window=window, hourly_kw=hourly, others=gaps)) == []


def test_voltage_is_below_five_and_above_ten_percent_and_power_is_kept(grid: Grid, written):
    episodes = written.truth.filter(pl.col("kind") == "weak_joint")
    sensor = episodes["subject_id"].unique().item()
    mine = written.sensors.filter(pl.col("sensor_id") == sensor).pivot(
        "sensor_type", index="timestamp", values="value"
    )
    share = pl.col("voltage") / (400 / 3**0.5)
    low = mine.filter(share < 0.95)

    hours = [
        start + timedelta(minutes=15) * step
        for start, end in episodes.select("start_time", "end_time").iter_rows()
        for step in range(int((end - start) / timedelta(minutes=15)))
    ]
    assert low["timestamp"].to_list() == hours
    assert low.select(share).min().item() > 0.9
    calm = mine.filter(~pl.col("timestamp").is_in(hours))["voltage"].mean()
    assert episodes["magnitude"].to_list() == pytest.approx(
        [calm - low["voltage"].mean()] * len(episodes), abs=1.0
    )
    apparent = 3 * mine["voltage"] * mine["current"] / 1e3
    assert (mine["power"].abs() - apparent).max() < 0.01


def test_the_joint_changes_nothing_but_its_own_sensor(grid: Grid, sound):
    window = Window.of_days(date(2026, 1, 14), date(2026, 1, 15))
    episode = PlantedFault(
        "weak_joint", "sensor", "S-F1-T2", window.start + 18 * HOUR, window.start + 19 * HOUR, 0.93
    )
    plan = replace(plan_faults(grid, window=SIXTY_DAYS, seed=7), faults=(episode,))

    measured, silent = FaultOverlay(grid, plan).measure(window, sound.flow)

    row = sound.flow.node_ids.index("F1-T2")
    changed = measured.voltage_v != sound.flow.voltage_v
    assert changed[row].nonzero()[0].tolist() == [72, 73, 74, 75]
    changed[row] = False
    assert not changed.any()
    assert not silent.any()
