"""Checks of segments: enough meters are profiled, segments are stable and none is an exception."""

import dagster as dg
import polars as pl

from smartgrid_core.contracts.segments import ConsumerSegments, SegmentHistory
from smartgrid_core.protocols import Warehouse
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
    stability = newest["stability"].max()
    largest = newest["share"].max()
    passed = stability is not None and stability >= STABLE and largest <= MOST_IN_ONE
    told = "not known" if stability is None else f"{stability:.2f}"
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"stability {told}, the largest segment holds {largest:.0%}",
        metadata={"segments": newest.height},
    )


@dg.asset_check(
    asset="consumer_segments", description="Every name belongs to one segment, and is said once."
)
def segment_names_are_unique(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """Two kinds of consumers with one name would be taken for one on every dashboard."""
    members = warehouse.read(ConsumerSegments).select("segment_id", "segment_name").unique()
    twice = members.filter(pl.col("segment_name").is_duplicated())
    return dg.AssetCheckResult(
        passed=twice.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"named_alike": sorted(twice["segment_id"])},
    )


CHECKS = [segments_mean_something, segment_names_are_unique]
