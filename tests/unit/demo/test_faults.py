from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from demo.faults import is_night
from demo.grid import Grid
from demo.planning import plan_faults
from demo.profiles import generate_normal_power
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.time import DAY, Window, midnight

STEP = timedelta(minutes=15)
MANY_EPISODES = ("feeder_overload", "weak_joint")


def within(fault: dict) -> pl.Expr:
    return pl.col("timestamp").is_between(fault["start_time"], fault["end_time"], closed="left")


def test_every_kind_is_planted_within_the_window(written):
    planted = {
        (kind, subject)
        for kind, subject in written.truth.select("kind", "subject_kind").iter_rows()
    }

    assert planted == {
        *(
            (kind, "meter")
            for kind in (
                "register_reset",
                "register_rollover",
                "momentary_zero",
                "backward_step",
                "gap",
                "stuck_value",
                "duplicate_readings",
                "late_readings",
                "unit_slip",
                "theft",
            )
        ),
        ("gap", "sensor"),
        ("stuck_value", "sensor"),
        ("voltage_sag", "sensor"),
        ("weak_joint", "sensor"),
        ("feeder_overload", "feeder"),
    }
    PlantedFaults.validate(written.truth)
    assert written.truth["start_time"].min() >= written.manifest.window.start
    assert written.truth["end_time"].max() <= written.manifest.window.end
    single = written.truth.filter(~pl.col("kind").is_in(MANY_EPISODES))
    assert single.select("kind", "subject_id").n_unique() == len(single)


@pytest.mark.parametrize("days", [7, 60, 366])
def test_a_meter_or_sensor_has_one_fault_at_most_in_any_window(grid: Grid, days: int):
    end = midnight(datetime(2026, 7, 1, tzinfo=UTC).date())

    plan = plan_faults(grid, window=Window(end - days * DAY, end), seed=3)

    subjects = [fault.subject_id for fault in plan.faults if fault.kind not in MANY_EPISODES]
    assert len(set(subjects)) == len(subjects)
    assert all(end - days * DAY <= fault.start < fault.end <= end for fault in plan.faults)


def test_meters_without_a_fault_never_count_backwards(written):
    faulty = written.truth.filter(pl.col("subject_kind") == "meter")["subject_id"].to_list()
    sound = written.first.filter(~pl.col("meter_id").is_in(faulty)).sort("meter_id", "timestamp")

    steps = sound.select(
        pl.col("reading").diff().over("meter_id"), pl.col("timestamp").diff().over("meter_id")
    ).drop_nulls()

    assert steps["reading"].min() >= 0
    assert steps["timestamp"].unique().to_list() == [STEP]


@pytest.mark.parametrize("kind", ["register_reset", "register_rollover"])
def test_the_count_begins_anew_where_the_truth_says(written, kind: str):
    fault = written.fault(kind)
    readings = written.readings(fault["subject_id"])
    falls = readings.filter(pl.col("reading").diff() < 0)

    assert falls["timestamp"].to_list() == [fault["start_time"]]
    assert 0 <= falls["reading"][0] < 1
    before = readings.filter(pl.col("timestamp") < fault["start_time"])["reading"][-1]
    assert fault["magnitude"] == pytest.approx(before, abs=1.0)


def test_the_count_falls_back_by_what_the_truth_says(written):
    fault = written.fault("backward_step")
    readings = written.readings(fault["subject_id"])
    falls = readings.with_columns(fall=-pl.col("reading").diff()).filter(pl.col("fall") > 0)

    assert falls["timestamp"].to_list() == [fault["start_time"]]
    assert falls["fall"][0] == pytest.approx(fault["magnitude"], abs=7.0)


def test_one_reading_is_zero(written):
    fault = written.fault("momentary_zero")
    readings = written.readings(fault["subject_id"])

    assert readings.filter(pl.col("reading") == 0)["timestamp"].to_list() == [fault["start_time"]]


@pytest.mark.parametrize("longest", [False, True])
def test_a_gap_has_no_readings_and_its_neighbours_have(written, longest: bool):
    fault = written.fault("gap", longest=longest)
    times = written.readings(fault["subject_id"])["timestamp"].to_list()

    missing = {written.manifest.window.start + STEP * step for step in range(8 * 96)} - set(times)

    assert sorted(missing) == [
        fault["start_time"] + STEP * step
        for step in range(int((fault["end_time"] - fault["start_time"]) / STEP))
    ]
    assert (fault["end_time"] - fault["start_time"] > DAY) == longest


def test_a_stuck_counter_stands_still(written):
    fault = written.fault("stuck_value")
    held = written.readings(fault["subject_id"]).filter(within(fault))

    assert len(held) == 40
    assert held["reading"].n_unique() == 1
    assert fault["magnitude"] > 0


def test_duplicates_are_the_same_row_twice(written):
    fault = written.fault("duplicate_readings")
    readings = written.readings(fault["subject_id"])
    twice = readings.filter(readings.is_duplicated())

    assert twice.equals(
        pl.concat([row for row in twice.unique().sort("timestamp").iter_slices(1) for _ in "ab"])
    )
    assert (
        twice["timestamp"].unique().sort().to_list()
        == readings.filter(within(fault))["timestamp"].unique().sort().to_list()
    )
    assert len(twice) == 2 * fault["magnitude"]
    assert len(written.first) - written.first.unique().height == fault["magnitude"]


def test_late_readings_are_missing_first_and_complete_the_rest(written):
    late = written.truth.filter(pl.col("kind") == "late_readings")
    expected = [
        (fault["subject_id"], fault["start_time"] + STEP * step)
        for fault in late.iter_rows(named=True)
        for step in range(int(fault["magnitude"]))
    ]

    assert sorted(written.late.select("meter_id", "timestamp").iter_rows()) == sorted(expected)
    assert written.first.join(written.late, on=["meter_id", "timestamp"]).is_empty()
    for meter in late["subject_id"]:
        both = pl.concat([written.first, written.late]).filter(pl.col("meter_id") == meter)
        assert len(both) == 8 * 96
        assert both.sort("timestamp")["reading"].is_sorted()


def test_a_unit_slip_is_a_thousandfold(written):
    fault = written.fault("unit_slip")
    readings = written.readings(fault["subject_id"])
    slipped = readings.filter(within(fault))
    around = readings.filter(~within(fault))

    assert len(slipped) == 12
    assert slipped["unit"].unique().to_list() == ["kWh"]
    assert around["reading"].is_sorted()
    assert around["reading"].min() <= slipped["reading"].min() / 1000 <= around["reading"].max()
    assert slipped["reading"].min() / around["reading"].max() > 900


def test_a_sag_lowers_voltage_and_keeps_power(written):
    fault = written.fault("voltage_sag", subject_kind="sensor")
    mine = written.sensors.filter(pl.col("sensor_id") == fault["subject_id"]).pivot(
        "sensor_type", index="timestamp", values="value"
    )
    low = mine.filter(pl.col("voltage") < 207)

    assert low["timestamp"].to_list() == [fault["start_time"] + STEP * step for step in range(3)]
    assert fault["magnitude"] == pytest.approx(low["voltage"][0] / 4, abs=0.01)
    apparent = 3 * mine["voltage"] * mine["current"] / 1e3
    assert (mine["power"].abs() - apparent).max() < 0.01


def test_a_stuck_sensor_repeats_one_power_and_a_silent_one_says_nothing(written):
    stuck = written.fault("stuck_value", subject_kind="sensor")
    silent = written.fault("gap", subject_kind="sensor")
    power = written.sensors.filter(pl.col("sensor_type") == "power")

    held = power.filter(pl.col("sensor_id") == stuck["subject_id"], within(stuck))
    assert (len(held), held["value"].n_unique()) == (32, 1)
    assert written.sensors.filter(
        pl.col("sensor_id") == silent["subject_id"], within(silent)
    ).is_empty()
    assert len(power.filter(pl.col("sensor_id") == silent["subject_id"])) == 8 * 96 - 12


def test_an_overload_crosses_the_rating_every_evening(grid: Grid, written):
    evenings = written.truth.filter(pl.col("kind") == "feeder_overload")
    feeder = evenings["subject_id"].unique().item()
    rating = dict(grid.feeders.iter_rows())[feeder]
    hourly = (
        written.sensors.filter(
            pl.col("sensor_id") == f"S-{feeder}", pl.col("sensor_type") == "power"
        )
        .group_by(pl.col("timestamp").dt.truncate("1h"))
        .agg(pl.col("value").mean())
    )

    assert len(evenings) == 5
    assert evenings["end_time"].max() > written.manifest.window.end - timedelta(hours=3)
    for evening in evenings.iter_rows(named=True):
        assert hourly.filter(within(evening))["value"].max() > 1.14 * rating
    calm = hourly.filter(pl.col("timestamp") < evenings["start_time"].min())
    assert calm["value"].max() < rating


def test_a_thief_is_metered_by_day_and_mostly_not_by_night(grid: Grid, written):
    fault = written.fault("theft")
    window = Window(fault["start_time"], fault["end_time"])
    row = grid.meters["meter_id"].to_list().index(fault["subject_id"])
    really_kwh = next(generate_normal_power(grid, window=window, seed=7))[1][row] * 0.25
    night = is_night(window)[:-1]

    counted = written.readings(fault["subject_id"]).filter(within(fault))["reading"].to_numpy()

    share = np.where(night, 1 - fault["magnitude"], 1.0)
    assert np.diff(counted) == pytest.approx(really_kwh[:-1] * share, abs=0.0011)
    assert really_kwh[:-1][night].sum() * fault["magnitude"] > 1.0
