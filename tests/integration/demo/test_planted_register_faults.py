from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from demo.files import DemoManifest, write_demo
from demo.grid import Grid
from demo.profiles import generate_normal_power
from smartgrid_core.readings.brackets import select_register_brackets
from smartgrid_core.readings.vee import compute_interval_energy

STEP = timedelta(minutes=15)
QUALITY_OF_KIND = {
    "register_reset": "reset",
    "register_rollover": "rollover",
    "momentary_zero": "momentary_zero",
    "backward_step": "backward_step",
    "gap": "gap",
    "unit_slip": "unit_slip",
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> DemoManifest:
    folder = tmp_path_factory.mktemp("planted") / "landing"
    return write_demo(folder, end=date(2026, 11, 22), days=9, closing_reading=True)


@pytest.fixture(scope="module")
def truth(manifest: DemoManifest) -> pl.DataFrame:
    on_meters = pl.read_parquet(manifest.planted_faults).filter(pl.col("subject_kind") == "meter")
    return on_meters.rename({"subject_id": "meter_id"})


@pytest.fixture(scope="module")
def consumption(manifest: DemoManifest) -> pl.DataFrame:
    """What validation, estimation and editing make of both deliveries."""
    files: list[Path] = [
        file for file in (*manifest.first_files, *manifest.late_files) if "meters" in file.name
    ]
    readings = pl.concat([pl.read_csv(file) for file in files]).select(
        "meter_id",
        "reading",
        "reading_kind",
        event_time=pl.col("timestamp").str.to_datetime(
            "%Y-%m-%dT%H:%M:%SZ", time_zone="UTC", time_unit="us"
        ),
        ingested_at=pl.lit(manifest.window.end),
    )
    once = readings.unique(["meter_id", "event_time"])
    return compute_interval_energy(
        readings,
        select_register_brackets(once, days=list(manifest.window.days())),
        window=manifest.window,
        interval_minutes=15,
        register_capacity_kwh=1_000_000.0,
    )


def test_every_register_fault_is_found_where_it_was_planted(truth, consumption):
    found = (
        consumption.filter(pl.col("quality") != "measured")
        .join(truth, on="meter_id")
        .filter(
            pl.col("interval_start").is_between(
                pl.col("start_time") - STEP, pl.col("end_time") + 2 * STEP
            )
        )
        .select("meter_id", "quality")
        .unique()
    )
    planted = truth.filter(pl.col("kind").is_in(list(QUALITY_OF_KIND))).select(
        "meter_id", quality=pl.col("kind").replace(QUALITY_OF_KIND)
    )

    assert sorted(found.rows()) == sorted(planted.rows())


def test_nothing_else_is_called_a_fault(truth, consumption):
    named = truth.filter(pl.col("kind").is_in(list(QUALITY_OF_KIND)))["meter_id"].implode()
    others = consumption.filter(~pl.col("meter_id").is_in(named))

    assert others["quality"].unique().to_list() == ["measured"]


def test_mended_energy_is_what_was_drawn(manifest, truth, consumption):
    grid = Grid.load()
    drawn = pl.DataFrame(
        {
            "meter_id": grid.meters["meter_id"],
            "feeder_id": grid.meters["feeder_id"],
            "drawn_kwh": sum(
                active.sum(axis=1) * 0.25
                for _, active, _ in generate_normal_power(
                    grid, window=manifest.window, seed=manifest.seed
                )
            ),
        }
    )
    overloaded = pl.read_parquet(manifest.planted_faults).filter(
        pl.col("kind") == "feeder_overload"
    )["subject_id"]
    not_metered = truth.filter(pl.col("kind").is_in(["theft", "stuck_value"]))["meter_id"]
    totals = (
        consumption.group_by("meter_id")
        .agg(pl.col("energy_kwh").sum())
        .join(drawn, on="meter_id")
        .filter(~pl.col("feeder_id").is_in(overloaded.implode()))
        .filter(~pl.col("meter_id").is_in(not_metered.implode()))
    )

    apart = totals.select((pl.col("energy_kwh") - pl.col("drawn_kwh")).abs()).to_series()
    # One quarter-hour around a reset, a backward step or a zero is estimated, at most 7 kWh long.
    assert len(totals) > 80
    assert apart.max() < 7
    assert (apart < 0.002).mean() > 0.9
