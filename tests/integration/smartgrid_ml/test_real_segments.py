"""Segments of real homes and of the demo grid, and the same from Spark."""

import sys
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from demo.files import write_demo
from smartgrid_core.contracts.grid import MeterPlaces
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.features.profiles import build_consumer_profiles
from smartgrid_core.readings.brackets import select_register_brackets
from smartgrid_core.readings.vee import compute_interval_energy
from smartgrid_core.time import Window
from smartgrid_core.topology import place_meters
from smartgrid_ml.mining.segments.find import find_segments
from smartgrid_ml.mining.segments.kmeans import LocalKMeans, assign_points
from smartgrid_ml.mining.segments.outliers import find_outliers
from smartgrid_ml.mining.segments.profile_points import build_profile_points
from smartgrid_ml.mining.segments.spark_kmeans import SparkKMeans

YEAR = Window.of_days(date(2013, 1, 1), date(2013, 12, 31))
COMPLETE = 0.99


@pytest.fixture(scope="module")
def london(shared_data) -> pl.DataFrame:
    """Profiles of the homes that are nearly complete."""
    file = shared_data / "lcl_london_2013" / "lcl_100_households_2013_30min_kwh_wide.parquet"
    energy = (
        pl.read_parquet(file)
        .unpivot(index="timestamp", variable_name="meter_id", value_name="energy_kwh")
        .with_columns(pl.col("energy_kwh").cast(pl.Float64).fill_nan(None))
        .drop_nulls()
        .select(
            "meter_id",
            "energy_kwh",
            interval_start=pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            interval_minutes=pl.lit(30, dtype=pl.Int32),
            is_estimated=pl.lit(value=False),
        )
    )
    return build_consumer_profiles(
        energy.lazy(),
        places=MeterPlaces.create_empty(),
        window=YEAR,
        timezone="Europe/London",
        min_coverage=COMPLETE,
    ).frame


@pytest.mark.slow
def test_london_homes_are_not_split_into_one_and_all_others(london):
    assert london.height == 90
    outliers = find_outliers(london, day=date(2013, 12, 31)).rows
    assert 1 <= outliers.height <= 9
    usual = london.join(outliers, on="meter_id", how="anti")
    segments = find_segments(usual, day=date(2013, 12, 31), engine=LocalKMeans())
    shares = segments.history["share"]
    assert len(shares) >= 2
    assert shares.min() >= 0.2
    assert segments.chosen is not None
    # Homes are a continuum: two halves come back well, though hardly as well as crowds would.
    assert segments.chosen.stability >= 0.65


@pytest.fixture(scope="module")
def demo_grid(tmp_path_factory) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Profiles of four weeks of the demo grid, and its meters' places."""
    folder = tmp_path_factory.mktemp("demo") / "landing"
    demo = write_demo(folder, end=date(2026, 4, 1), days=28)
    landed = datetime(2026, 4, 1, 1, tzinfo=UTC)
    sent = [file for file in demo.first_files if file.name.startswith("meters-")]
    instant = pl.col("timestamp").str.to_datetime(time_zone="UTC", time_unit="us")
    readings = pl.concat(pl.read_csv(file) for file in [*sent, *demo.late_files])
    readings = readings.with_columns(event_time=instant, ingested_at=pl.lit(landed))
    readings = readings.unique(["meter_id", "event_time"], keep="last")
    energy = compute_interval_energy(
        readings,
        select_register_brackets(readings, days=list(demo.window.days())),
        window=demo.window,
        interval_minutes=15,
        register_capacity_kwh=1e6,
    )
    places = place_meters(pl.read_csv(folder / "grid_topology.csv"))
    found = build_consumer_profiles(
        energy.lazy(), places=places, window=demo.window, timezone="Europe/Tirane"
    )
    assert found.left_out == {}
    return found.frame, places


@pytest.mark.slow
def test_segments_of_the_demo_grid_agree_with_what_its_meters_feed(demo_grid):
    profiles, places = demo_grid
    day = date(2026, 3, 31)
    outliers = find_outliers(profiles, day=day).rows
    usual = profiles.join(outliers, on="meter_id", how="anti")
    members = find_segments(usual, day=day, engine=LocalKMeans()).members
    both = members.join(places, on="meter_id")
    assert adjusted_rand_score(both["customer_kind"], both["segment_id"]) >= 0.6
    feeding = both.filter(pl.col("customer_kind") == "pv")
    assert feeding["segment_name"].unique().to_list() == ["feed-in"]
    odd = outliers.join(places, on="meter_id")
    assert set(odd["customer_kind"]) <= {"ev", "commercial", "agricultural"}


@pytest.mark.slow
def test_spark_finds_the_centres_that_scikit_learn_finds(demo_grid):
    profiles, places = demo_grid
    kinds = places.filter(pl.col("customer_kind").is_in(["household", "heat_pump"]))
    points = build_profile_points(profiles.join(kinds, on="meter_id", how="semi"))
    local, spark = (
        assign_points(points, engine.find_centres(points, k=2, seed=7)).labels
        for engine in (LocalKMeans(), SparkKMeans("local[1]"))
    )
    assert adjusted_rand_score(local, spark) == 1.0


def test_without_pyspark_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'smartgrid\[spark\]'"):
        SparkKMeans("local[*]").find_centres(np.eye(3, dtype=np.float32), k=2, seed=1)
