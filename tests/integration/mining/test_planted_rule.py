"""The rule that the demo grid plants, from its files to the list that an operator reads."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from demo.files import DemoManifest, write_demo
from smartgrid_core.aggregates.feeder import sum_meters_per_feeder
from smartgrid_core.aggregates.hourly import aggregate_sensor_hours
from smartgrid_core.features.events import find_grid_events
from smartgrid_core.readings.brackets import select_register_brackets
from smartgrid_core.readings.vee import compute_interval_energy
from smartgrid_core.time import DAY, Window
from smartgrid_core.topology import place_meters
from smartgrid_ml.mining.rules.ground_truth import find_planted_rules
from smartgrid_ml.mining.rules.mine import mine_rules

TIRANE = ZoneInfo("Europe/Tirane")
END = date(2026, 11, 22)
LANDED = datetime(2026, 11, 22, 1, tzinfo=UTC)


def events_of(demo: DemoManifest, folder: Path) -> pl.DataFrame:
    instant = pl.col("timestamp").str.to_datetime(time_zone="UTC", time_unit="us")
    meters = [file for file in demo.first_files if file.name.startswith("meters-")]
    sensors = [file for file in demo.first_files if file.name.startswith("sensors-")]
    readings = (
        pl.concat([pl.read_csv(file) for file in (*meters, *demo.late_files)])
        .with_columns(event_time=instant, ingested_at=pl.lit(LANDED))
        .unique(["meter_id", "event_time"], keep="last")
    )
    tree = pl.read_csv(folder / "grid_topology.csv")
    energy = compute_interval_energy(
        readings,
        select_register_brackets(readings, days=list(demo.window.days())),
        window=demo.window,
        interval_minutes=15,
        register_capacity_kwh=1e6,
    )
    measured = pl.concat([pl.read_parquet(file) for file in sensors])
    return find_grid_events(
        window=demo.window,
        topology=tree,
        load=sum_meters_per_feeder(energy, places=place_meters(tree)),
        sensors=aggregate_sensor_hours(
            measured.rename({"timestamp": "event_time"}), sensor_interval_minutes=15
        ),
        timezone=TIRANE,
        country="AL",
    )


@pytest.mark.slow
def test_the_planted_rule_is_among_the_first_five_and_nothing_else_is_made_up(tmp_path):
    folder = tmp_path / "landing"
    demo = write_demo(folder, end=END, days=60)
    events = events_of(demo, folder)
    planted = pl.read_parquet(demo.planted_faults)
    tree = pl.read_csv(folder / "grid_topology.csv")

    for days in (60, 28):
        window = Window(demo.window.end - days * DAY, demo.window.end)
        recent = events.filter(pl.col("hour_start") >= window.start)
        rules = mine_rules(recent, day=date(2026, 11, 21), timezone=TIRANE).rules
        (joint,) = find_planted_rules(rules, planted=planted, topology=tree, window=window)

        assert joint.rank is not None
        assert joint.rank <= 5
        # All other evenings and feeders are as they always are.
        assert rules["feeder_id"].unique().to_list() == [joint.feeder_id]

    healthy = events.filter(pl.col("feeder_id") != joint.feeder_id)
    assert mine_rules(healthy, day=date(2026, 11, 21), timezone=TIRANE).rules.is_empty()
