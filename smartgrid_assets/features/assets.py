"""Assets that models learn from: day-ahead load features."""

from datetime import timedelta

import dagster as dg

from smartgrid_assets.domains import FEATURES, daily_asset
from smartgrid_assets.partitions import FOLLOW, get_run_window
from smartgrid_core.aggregates.feeder import mask_silent_hours
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.grid import Weather
from smartgrid_core.features.load import HISTORY_NEEDED, build_load_features
from smartgrid_core.protocols import Lake
from smartgrid_core.settings import Settings
from smartgrid_core.time import midnight

LOOK_BACK = dg.TimeWindowPartitionMapping(
    start_offset=-HISTORY_NEEDED.days, allow_nonexistent_upstream_partitions=True
)
"""A day's features reach back as far as the longest of them."""


@daily_asset(
    FEATURES,
    table=LoadFeatures,
    deps=[
        dg.AssetDep("feeder_load", partition_mapping=LOOK_BACK),
        dg.AssetDep("weather", partition_mapping=LOOK_BACK),
    ],
    automation_condition=FOLLOW,
    kinds={"polars", "parquet"},
)
def load_features(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """One row per feeder, issue time and hour: what was known of the hour at the issue time.

    The issue time is midnight UTC of the partition's day. `load_kw` is the value that models learn
    to forecast, null until the hour has passed. An hour in which too many meters were silent
    counts as unknown, both as a value to learn and as history.
    """
    window = get_run_window(context)
    history = window.widened(before=HISTORY_NEEDED)
    load = mask_silent_hours(
        lake.scan(FeederLoad, window=history), least_share=settings.min_meter_share
    )
    features = build_load_features(
        load.collect(),
        issue_times=[midnight(day) for day in window.days()],
        timezone=settings.timezone,
        country=settings.country,
        weather=lake.scan(Weather, window=history).collect(),
        weather_delay=timedelta(hours=settings.weather_delay_hours),
    )
    rows = lake.replace(LoadFeatures, features, window=window)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows.count, "series": rows.count_distinct("feeder_id")}
    )
