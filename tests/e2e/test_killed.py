"""Killed at any moment: nothing half-written, nothing twice, and the next start heals."""

import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from smartgrid_cli.machine.child_process import find_leftovers
from smartgrid_core.contracts.aggregates import (
    DailyConsumption,
    FeederLoad,
    MeterConsumption,
    SensorAggregates,
)
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.readings import MeterReadings, RegisterBrackets, SensorData
from smartgrid_core.contracts.tables import get_table
from smartgrid_io.parquet_lake import ParquetLake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.xdist_group("e2e")]

HISTORY = (
    *(SensorData, MeterReadings, RegisterBrackets, SensorAggregates),
    *(MeterConsumption, DailyConsumption, FeederLoad, LoadFeatures),
)
WHEN_WRITTEN = ("ingested_at", "event_id")


def test_a_demo_that_is_killed_again_and_again_ends_like_an_undisturbed_one(machine, undisturbed):
    demo = machine.demo()
    machine.wait(lambda: "Land them" in machine.said.read_text(), demo, "the landing")
    time.sleep(1.5)
    demo.kill()
    demo.wait()

    demo = machine.demo()
    machine.wait(lambda: machine.is_under_way("refresh_days"), demo, "the first days")
    daemon = machine.kill("dagster_daemon")
    machine.wait(lambda: machine.is_back("dagster_daemon", instead_of=daemon), demo, "the daemon")
    machine.wait(
        lambda: machine.is_under_way("refresh_days", "meter_consumption"), demo, "the consumption"
    )
    postgres = machine.kill("postgres")
    machine.wait(lambda: machine.is_back("postgres", instead_of=postgres), demo, "the database")
    machine.wait(lambda: machine.is_under_way("refresh_days"), demo, "the second try")
    demo.kill()
    demo.wait()
    everything_written_is_whole(machine.home.root)

    demo = machine.demo()
    machine.wait(lambda: machine.is_under_way("train_models"), demo, "the training")
    model_server = machine.kill("model_server")
    machine.wait(
        lambda: machine.is_back("model_server", instead_of=model_server), demo, "the model server"
    )
    machine.wait(
        lambda: machine.is_under_way("train_models", "load_model"), demo, "the chosen model"
    )
    machine.kill("dagster_code")
    assert machine.finish(demo) == 0, machine.last_words()

    everything_written_is_whole(machine.home.root)
    assert find_leftovers(machine.home) == []
    ours, theirs = (ParquetLake(str(m.home.root / "lake")) for m in (machine, undisturbed))
    for schema in HISTORY:
        assert_frame_equal(content(ours, schema), content(theirs, schema))


def content(lake: ParquetLake, schema) -> pl.DataFrame:
    """All rows in order of their key, without what says when they were written."""
    rows = lake.scan(schema).collect()
    assert rows.height
    assert not rows.select(get_table(schema).key).is_duplicated().any()
    return rows.drop(WHEN_WRITTEN, strict=False).sort(get_table(schema).key)


def everything_written_is_whole(root: Path) -> None:
    """Every day of the lake can be read and every published version has its model."""
    for file in (root / "lake").rglob("*.parquet"):
        if not file.name.startswith("."):
            pl.read_parquet(file)
    for version in (root / "models").glob("*/[0-9]*"):
        assert (version / "saved_model.pb").stat().st_size
