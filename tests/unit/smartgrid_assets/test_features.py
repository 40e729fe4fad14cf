"""What the features asset makes of the stored load."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl

from smartgrid_assets.features.assets import load_features
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.time import Window

DAY = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def two_days(*, silent: set[int]) -> pl.DataFrame:
    """10 kW of ten meters in each hour of two days; 4 kW of four of them in the silent hours."""
    hours = [MIDNIGHT + timedelta(hours=number) for number in range(-24, 24)]
    few = [number in silent for number in range(-24, 24)]
    return FeederLoad.cast(
        pl.DataFrame(
            {
                "feeder_id": ["F1"] * 48,
                "hour_start": hours,
                "load_kw": [4.0 if low else 10.0 for low in few],
                "meters": [4 if low else 10 for low in few],
                "expected_meters": [10] * 48,
                "estimated_share": [0.0] * 48,
            }
        )
    )


def test_nobody_learns_from_an_hour_in_which_most_meters_were_silent(store, handles):
    store.replace(
        FeederLoad, two_days(silent={-1, 5}), window=Window.of_days(date(2026, 3, 1), DAY)
    )
    outcome = dg.materialize(
        [load_features], partition_key=str(DAY), resources=handles, selection="*"
    )
    assert outcome.success
    rows = store.read(LoadFeatures)
    assert rows["load_kw"].to_list() == [None if hour == 5 else 10.0 for hour in range(24)]
    assert rows["latest_1h_kw"].unique().to_list() == [None]
    assert rows["same_hour_1d_kw"].to_list() == [10.0] * 23 + [None]
    assert rows["mean_24h_kw"].unique().to_list() == [10.0]
