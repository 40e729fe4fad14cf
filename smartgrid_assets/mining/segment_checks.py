"""Checks of segments: enough meters are profiled, segments are stable and none is an exception."""

from typing import cast

import dagster as dg
import polars as pl

from smartgrid_assets.quality import to_outcome_result
from smartgrid_core.checks.consumers import judge_consumer_outliers, judge_consumer_profiles
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.segments import (
    ConsumerOutliers,
    ConsumerProfiles,
    ConsumerSegments,
    SegmentHistory,
)
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.topology import place_meters
from smartgrid_ml.mining.segments.kmeans import STABLE

MOST_IN_ONE = 0.9
"""A segment that holds nearly everyone tells nobody anything."""


@dg.asset_check(
    asset="consumer_segments",
    description=f"Segments come back under resampling (at least {STABLE}), none holds nearly all.",
)
def segments_mean_something(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Judges the newest run; passes where there are no segments yet."""
    history = warehouse.read(SegmentHistory)
    newest = history.filter(pl.col("day") == pl.col("day").max(), pl.col("meters") > 0)
    if newest.is_empty():
        return dg.AssetCheckResult(passed=True, description="there are no segments yet")
    stability = cast(float | None, newest["stability"].max())
    largest = cast(float, newest["share"].max())
    passed = stability is not None and stability >= STABLE and largest <= MOST_IN_ONE
    stability_text = "not known" if stability is None else f"{stability:.2f}"
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"stability {stability_text}, the largest segment holds {largest:.0%}",
        metadata={"segments": newest.height},
    )


@dg.asset_check(asset="consumer_segments", description="Every segment has a name of its own.")
def segment_names_are_unique(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Two segments of one name would be taken for one on every dashboard."""
    members = warehouse.read(ConsumerSegments).select("segment_id", "segment_name").unique()
    twice = members.filter(pl.col("segment_name").is_duplicated())
    return dg.AssetCheckResult(
        passed=twice.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"named_alike": sorted(twice["segment_id"])},
    )


@dg.asset_check(asset="consumer_profiles", description="Most meters of the grid have a profile.")
def most_meters_are_profiled(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Judges the profiles by the meters of the tree; passes where there are none yet."""
    profiles = lake.scan(ConsumerProfiles).collect()
    if profiles.is_empty():
        return dg.AssetCheckResult(passed=True, description="there are no profiles yet")
    meters = place_meters(lake.scan(GridTopology)).height
    return to_outcome_result(judge_consumer_profiles(profiles, meters=meters))


@dg.asset_check(asset="consumer_outliers", description="Few meters are like no others.")
def outliers_are_few(
    lake: dg.ResourceParam[Lake], warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """Judges the outliers by the profiles from which they were found."""
    return to_outcome_result(
        judge_consumer_outliers(
            warehouse.read(ConsumerOutliers), profiles=lake.scan(ConsumerProfiles).collect()
        )
    )


CHECKS = [
    most_meters_are_profiled,
    outliers_are_few,
    segments_mean_something,
    segment_names_are_unique,
]
