"""The daily asset of anomalies: a day costs a day, and a re-run changes nothing."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from smartgrid_assets.mining.anomalies import anomalies, list_outlived_states
from smartgrid_assets.mining.anomaly_checks import planted_anomalies_found
from smartgrid_core.contracts.anomalies import (
    Anomalies,
    AnomalyDays,
    AnomalyScores,
    AnomalyStates,
)
from smartgrid_core.contracts.grid import GridTopology, PlantedFaults
from smartgrid_core.contracts.readings import SensorData
from smartgrid_core.settings import Settings
from smartgrid_core.time import DAY, HOUR, midnight

pytestmark = pytest.mark.slow

FIRST = date(2026, 2, 1)
DAYS = 24
SHIFTED = midnight(FIRST) + 20 * DAY + 9 * HOUR
SETTINGS = Settings(_env_file=None, sensor_interval_minutes=60)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def voltages(shifted: datetime = SHIFTED) -> pl.DataFrame:
    """Three weeks of two sensors, of which one reads 8 V too little for a day and a half."""
    rng = np.random.default_rng(4)
    times = [midnight(FIRST) + hour * HOUR for hour in range(DAYS * 24)]
    frames = []
    for sensor in ("S-T1", "S-T2"):
        value = 230 + 0.4 * rng.standard_normal(len(times))
        if sensor == "S-T1":
            first = int((shifted - times[0]) / HOUR)
            value[first : first + 36] -= 8.0
        frames.append(
            pl.DataFrame(
                {
                    "event_id": [f"{sensor}-{number}" for number in range(len(times))],
                    "sensor_id": sensor,
                    "sensor_type": "voltage",
                    "value": value,
                    "latitude": None,
                    "longitude": None,
                    "event_time": times,
                    "ingested_at": times,
                    "metadata": None,
                }
            )
        )
    return pl.concat(frames)


TOPOLOGY = pl.DataFrame(
    {
        "node_id": ["F1", "T1", "S-T1", "T2", "S-T2"],
        "node_kind": ["feeder", "transformer", "sensor", "transformer", "sensor"],
        "parent_id": [None, "F1", "T1", "F1", "T2"],
        "name": "node",
        "latitude": 41.0,
        "longitude": 19.0,
        "nominal_voltage_v": [None, 400.0, None, 400.0, None],
        "rating_kw": None,
        "customer_id": None,
        "customer_kind": None,
    }
)

PLANTED = pl.DataFrame(
    {
        "fault_id": "fault-1",
        "kind": "level_shift",
        "subject_kind": "sensor",
        "subject_id": "S-T1",
        "start_time": SHIFTED,
        "end_time": SHIFTED + 36 * HOUR,
        "magnitude": -0.03,
        "description": "planted",
    }
)


@pytest.fixture
def grid(store, handles):
    """A lake of three weeks of voltages."""
    store.replace(SensorData, SensorData.validate(voltages(), cast=True))
    store.replace(GridTopology, GridTopology.validate(TOPOLOGY, cast=True))
    return {**handles, "settings": SETTINGS}


def run_days(handles: dict, first: date, last: date | None = None) -> dict:
    """Materialise a day or a range of days in one run; the metadata."""
    edges = {"start": first, "end": last or first}
    tags = {f"dagster/asset_partition_range_{edge}": str(day) for edge, day in edges.items()}
    outcome = dg.materialize([anomalies], resources=handles, tags=tags)
    assert outcome.success
    return outcome.asset_materializations_for_node("anomalies")[-1].metadata


def tables(store) -> dict[type, pl.DataFrame]:
    return {schema: store.read(schema) for schema in (Anomalies, AnomalyDays, AnomalyScores)}


def test_a_shifted_sensor_is_one_row_with_its_range_and_reason(store, grid):
    metadata = run_days(grid, day(0), day(DAYS - 1))

    assert store.read(Anomalies).height == 1
    row = store.read(Anomalies).row(0, named=True)
    assert (row["subject_id"], row["quantity"], row["kind"]) == ("S-T1", "voltage", "level_shift")
    assert abs(row["start_time"] - SHIFTED) <= 3 * HOUR
    assert row["value"] < row["lower_value"] < 230 < row["upper_value"]
    assert row["reason"].startswith("about 22")
    assert metadata["outcome"].value == "1 anomalies"
    assert metadata["kind/level_shift"].value == 1
    assert "S-T1 voltage" in metadata["worst"].value
    assert metadata["plot"].value.startswith("![the worst anomaly](data:image/png")
    assert store.read(AnomalyScores).height == 2 * DAYS * 24


def test_day_by_day_and_in_one_run_the_tables_are_the_same(store, grid):
    run_days(grid, day(0), day(DAYS - 1))
    at_once = tables(store)
    for schema in (*at_once, AnomalyStates):
        store.tables.pop(schema)

    run_days(grid, day(0), day(18))
    for number in range(19, DAYS):
        run_days(grid, day(number))

    for schema, rows in at_once.items():
        assert_frame_equal(rows, store.read(schema))


def test_a_day_that_is_run_again_gives_the_same_rows(store, grid):
    run_days(grid, day(0), day(DAYS - 1))
    before = tables(store)

    run_days(grid, day(20))
    run_days(grid, day(22), day(23))

    for schema, rows in before.items():
        assert_frame_equal(rows, store.read(schema))


def test_a_late_day_is_judged_with_the_days_that_remember_it(store, grid):
    whole = store.read(SensorData)
    late = pl.col("event_time").dt.date() == day(21)
    run_days(grid, FIRST, day(23))
    right = tables(store)
    store.replace(SensorData, whole.filter(~late))
    run_days(grid, FIRST, day(23))
    assert any(not right[schema].equals(rows) for schema, rows in tables(store).items())
    store.replace(SensorData, whole)

    run_days(grid, day(21))

    for schema, rows in tables(store).items():
        assert rows.equals(right[schema]), schema.__name__


def test_only_states_that_other_days_need_are_kept_and_a_day_of_long_ago_is_judged_from_them(
    store, grid
):
    whole = store.read(SensorData)
    late = pl.col("event_time").dt.date() == day(12)
    run_days(grid, FIRST, day(23))
    right = tables(store)
    kept = [day(number) for number in (1, 8, 15, 21, 22, 23)]
    assert store.days(AnomalyStates) == kept
    store.tables.pop(AnomalyStates)
    store.replace(SensorData, whole.filter(~late))
    run_days(grid, FIRST, day(23))
    wrong = tables(store)
    store.replace(SensorData, whole)

    run_days(grid, day(12), day(23))

    assert any(not right[schema].equals(rows) for schema, rows in wrong.items())
    for schema, rows in tables(store).items():
        assert rows.equals(right[schema]), schema.__name__
    assert store.days(AnomalyStates) == kept


def test_days_of_long_ago_are_judged_one_from_the_other():
    long_ago, today = [day(number) for number in range(10)], day(300)
    outlived = list_outlived_states([*long_ago, today], last_judged=long_ago[-1], newest_kept=2)
    assert outlived == long_ago[:-2]
    assert list_outlived_states([], last_judged=today, newest_kept=2) == []


def test_a_whole_silent_day_is_missing_day_by_day_as_in_one_run(store, grid):
    silent = pl.col("event_time").dt.date() == day(21)
    store.replace(SensorData, store.read(SensorData).filter(~silent))
    run_days(grid, FIRST, day(23))
    at_once = tables(store)
    assert at_once[Anomalies].filter(pl.col("kind") == "missing").height == 2
    for schema in (Anomalies, AnomalyDays, AnomalyScores, AnomalyStates):
        store.replace(schema, store.read(schema).clear())

    run_days(grid, FIRST, day(20))
    for number in (21, 22, 23):
        run_days(grid, day(number))

    for schema, rows in tables(store).items():
        assert rows.equals(at_once[schema]), schema.__name__


def test_a_day_without_a_yesterday_is_judged_by_the_weeks_before(store, grid):
    run_days(grid, day(20))

    found = store.read(Anomalies)
    assert found["kind"].to_list() == ["level_shift"]
    assert found["subject_id"].to_list() == ["S-T1"]
    assert store.read(AnomalyScores)["time"].min() == midnight(day(20))


@pytest.mark.parametrize("shifted", [SHIFTED, midnight(day(20)) + HOUR])
def test_readings_that_are_mended_take_their_anomaly_away(store, grid, shifted: datetime):
    store.replace(SensorData, SensorData.validate(voltages(shifted), cast=True))
    run_days(grid, day(0), day(DAYS - 1))
    assert store.read(Anomalies).height == 1
    wrong = (pl.col("sensor_id") == "S-T1") & (pl.col("value") < 226)
    mended = store.read(SensorData).with_columns(
        value=pl.when(wrong).then(pl.col("value") + 8.0).otherwise("value")
    )
    store.replace(SensorData, mended)

    run_days(grid, day(20), day(DAYS - 1))

    assert store.read(Anomalies).is_empty()


def test_an_empty_lake_says_that_there_are_no_readings(store, handles):
    metadata = run_days({**handles, "settings": SETTINGS}, day(0))

    assert metadata["outcome"].value == "no readings in these days"
    assert store.read(Anomalies).is_empty()


def checked(handles: dict) -> dg.AssetCheckResult:
    return planted_anomalies_found(lake=handles["lake"], warehouse=handles["warehouse"])


def test_the_check_counts_what_was_planted_and_false_alarms(store, grid):
    assert checked(grid).description == "no truth is known"
    run_days(grid, day(0), day(DAYS - 1))
    store.replace(PlantedFaults, PlantedFaults.validate(PLANTED, cast=True))

    check = checked(grid)

    assert check.passed
    assert check.description == (
        "1 of 1 planted faults are found; at most 0 false alarms per sensor and month"
    )
    missed = PLANTED.with_columns(subject_id=pl.lit("S-T2"), kind=pl.lit("spike"))
    store.replace(PlantedFaults, PlantedFaults.validate(missed, cast=True))
    assert not checked(grid).passed
    assert checked(grid).metadata["missed"].value == ["spike at S-T2"]


def test_the_open_day_is_judged_as_far_as_it_has_come(store, grid):
    now = datetime(2026, 2, 24, 10, tzinfo=UTC)
    store.replace(SensorData, store.read(SensorData).filter(pl.col("event_time") < now))

    run_days(grid, day(0), day(23))

    assert "missing" not in store.read(Anomalies)["kind"]
