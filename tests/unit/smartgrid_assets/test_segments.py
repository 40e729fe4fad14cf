"""The assets of consumer kinds, from consumption to segments."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from smartgrid_assets.mining.segment_checks import segment_names_are_unique, segments_mean_something
from smartgrid_assets.mining.segments import (
    choose_engine,
    consumer_outliers,
    consumer_profiles,
    consumer_segments,
)
from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.segments import (
    ConsumerOutliers,
    ConsumerProfiles,
    ConsumerSegments,
    SegmentBands,
    SegmentHistory,
)
from smartgrid_core.settings import Settings

pytestmark = pytest.mark.slow

YESTERDAY = date(2026, 3, 2)
ASSETS = [consumer_profiles, consumer_outliers, consumer_segments]


class Registry:
    def __init__(self) -> None:
        self.trainings: list[dict[str, object]] = []
        self.finished: list[tuple[str, str]] = []

    def log_training(self, experiment: str, **training) -> str:
        self.trainings.append({"experiment": experiment, **training})
        return f"run-{len(self.trainings)}"

    def finish(self, run_id: str, status: str) -> None:
        self.finished.append((run_id, status))


def consumption(*, days: int = 21, evening: int = 15, night: int = 10, odd: int = 1):
    """Hourly energy up to today: meters that peak at 19, at 3, and one that draws once a week."""
    random = np.random.default_rng(5)
    hour = np.arange(24 * days)
    start = datetime(2026, 3, 4, tzinfo=UTC) - timedelta(days=days)
    times = [start + timedelta(hours=int(h)) for h in hour]
    base = {
        "e": 0.2 + np.exp(-(((hour % 24 - 19) / 3) ** 2)),
        "n": 0.2 + np.exp(-(((hour % 24 - 3) / 3) ** 2)),
        "o": 0.001 + 9.0 * (hour % 168 == 60),
    }
    counts = {"e": evening, "n": night, "o": odd}
    return pl.concat(
        MeterConsumption.validate(
            pl.DataFrame(
                {
                    "meter_id": f"{kind}{number:02}",
                    "interval_start": times,
                    "interval_minutes": 60,
                    "energy_kwh": base[kind] * random.lognormal(0, 0.1, len(hour)),
                    "is_estimated": False,
                    "quality": "measured",
                }
            ),
            cast=True,
        )
        for kind, count in counts.items()
        for number in range(count)
    )


@pytest.fixture
def mine(store, handles):
    registry = Registry()

    def run():
        result = dg.materialize(
            [*ASSETS, segments_mean_something, segment_names_are_unique],
            resources={
                **{name: handles[name] for name in ("lake", "warehouse", "clock", "settings")},
                "model_registry": registry,
            },
        )
        said = {
            event.asset_key.to_user_string(): {
                name: value.value for name, value in event.materialization.metadata.items()
            }
            for event in result.get_asset_materialization_events()
        }
        checks = {each.check_name: each.passed for each in result.get_asset_check_evaluations()}
        return said, checks

    run.registry = registry
    return run


def test_consumption_becomes_profiles_outliers_and_named_segments(mine, store):
    store.tables[MeterConsumption] = consumption()
    said, checks = mine()
    assert said["consumer_profiles"]["outcome"] == "26 of 26 meters have a profile"
    assert said["consumer_profiles"]["window"] == "2026-02-11 .. 2026-03-03"
    assert store.read(ConsumerOutliers)["meter_id"].to_list() == ["o00"]
    assert "| o00 |" in said["consumer_outliers"]["outliers"]
    members = store.read(ConsumerSegments)
    assert members.group_by("segment_id").len().sort("segment_id").rows() == [
        ("S1", 15),
        ("S2", 10),
    ]
    assert set(members["day"]) == {YESTERDAY}
    assert store.read(SegmentBands).height == 2 * 2 * 24
    told = said["consumer_segments"]
    assert told["outcome"].startswith("2 is the most of the stable numbers")
    assert "| S1 | evening peak" in told["segments"]
    assert "| 2 | 1.00 |" in told["numbers_tried"]
    for plot in ("plot/typical_days", "plot/projection", "plot/sizes"):
        assert told[plot].startswith("![")
        assert "data:image/png;base64," in told[plot]
    assert checks == {"segments_mean_something": True, "segment_names_are_unique": True}


def test_a_run_is_written_down_with_figures_and_tables(mine, store):
    store.tables[MeterConsumption] = consumption()
    mine()
    (training,) = mine.registry.trainings
    assert training["experiment"] == "consumer_segments"
    assert training["params"] == {"engine": "scikit-learn", "segments": 2}
    assert set(training["figures"]) == {"typical_days", "projection", "sizes"}
    assert set(training["tables"]) == {"segments", "bands", "numbers_tried"}
    assert training["metrics"]["stability"] == 1.0
    assert mine.registry.finished == [("run-1", "FINISHED")]


def test_a_second_run_on_the_same_day_changes_nothing(mine, store):
    store.tables[MeterConsumption] = consumption()
    mine()
    before = {
        table: store.read(table) for table in (ConsumerSegments, SegmentHistory, SegmentBands)
    }
    mine()
    assert all(store.read(table).equals(rows) for table, rows in before.items())


def test_an_empty_lake_is_told_and_leaves_no_rows(mine, store):
    said, checks = mine()
    assert said["consumer_profiles"]["outcome"] == "no day has consumption yet"
    assert said["consumer_segments"]["outcome"] == "no meter has a profile yet"
    assert store.read(ConsumerSegments).is_empty()
    assert mine.registry.trainings == []
    assert all(checks.values())


def test_one_meter_is_everyone(mine, store):
    store.tables[MeterConsumption] = consumption(evening=1, night=0, odd=0)
    said, checks = mine()
    assert store.read(ConsumerSegments)["segment_name"].to_list() == ["everyone"]
    assert said["consumer_segments"]["outcome"].startswith("1 meters are too few")
    assert checks["segments_mean_something"] is False


def test_the_grid_says_who_feeds_in(mine, store):
    nodes = [("SUB", "substation", None, None), ("F", "feeder", "SUB", None)]
    nodes += [("T", "transformer", "F", None), ("e00", "meter", "T", "pv")]
    store.tables[GridTopology] = GridTopology.validate(
        pl.DataFrame(
            nodes, schema=["node_id", "node_kind", "parent_id", "customer_kind"], orient="row"
        ).with_columns(
            name=pl.col("node_id"),
            latitude=pl.lit(41.3),
            longitude=pl.lit(19.8),
            nominal_voltage_v=pl.lit(None),
            rating_kw=pl.lit(None),
            customer_id=pl.lit("C"),
        ),
        cast=True,
    )
    store.tables[MeterConsumption] = consumption()
    mine()
    assert store.read(ConsumerProfiles).filter("is_feed_in")["meter_id"].to_list() == ["e00"]
    assert store.read(ConsumerSegments).filter(pl.col("segment_name") == "feed-in")[
        "meter_id"
    ].to_list() == ["e00"]


def test_one_setting_chooses_spark():
    usual = Settings(_env_file=None)
    spark = Settings(_env_file=None, segment_engine="spark", spark_url="sc://spark:15002")
    assert choose_engine(usual).name == "scikit-learn"
    assert (choose_engine(spark).name, choose_engine(spark).url) == (
        "Spark MLlib",
        "sc://spark:15002",
    )
