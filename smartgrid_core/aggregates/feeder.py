"""Load of feeders and of the whole grid, summed up from the meters."""

from typing import Any

import narwhals as nw
from narwhals.typing import IntoFrameT

from smartgrid_core.aggregates.frames import to_narwhals

GRID = "grid"
"""The series that sums all feeders."""

FEED_IN_KINDS = ("pv",)
"""Kinds of meter that count what the customer feeds in: negative load."""

COUNT_SLACK = 1e-9
"""0.9 of ten meters is nine, whatever a float makes of it."""


def sum_meters_per_feeder(consumption: IntoFrameT, *, places: IntoFrameT) -> IntoFrameT:
    """Return rows of `FeederLoad`, in no particular order; a lazy frame stays lazy.

    `consumption` has rows of `MeterConsumption`; `places` has rows of `MeterPlaces`, in the same
    kind of frame. A meter's load is its mean power over the minutes of the hour that it covers, kW;
    feed-in counts negative. A meter without any minutes adds nothing, but is expected. Meters
    without a place are left out.
    """
    on_feeders = to_narwhals(places).select("meter_id", "feeder_id", "customer_kind")
    expected = nw.concat(
        [
            of.group_by("feeder_id").agg(nw.col("meter_id").count().alias("expected_meters"))
            for of in (on_feeders, on_feeders.with_columns(feeder_id=nw.lit(GRID)))
        ]
    )
    per_meter = _compute_meter_load(to_narwhals(consumption), on_feeders=on_feeders)
    feeders = per_meter.group_by("feeder_id", "hour_start").agg(*_sum_meters())
    grid = (
        per_meter.with_columns(feeder_id=nw.lit(GRID))
        .group_by("feeder_id", "hour_start")
        .agg(*_sum_meters())
    )
    share = nw.col("estimated_kw") / nw.col("mean_kw")
    load: IntoFrameT = (
        nw.concat([feeders, grid])
        .join(expected, on="feeder_id", how="left")
        .with_columns(
            nw.col("meters", "expected_meters").cast(nw.Int32),
            estimated_share=nw.when(nw.col("mean_kw") > 0)
            .then(nw.min_horizontal(share, nw.lit(1.0)))
            .otherwise(nw.lit(0.0)),
        )
        .select(
            "feeder_id", "hour_start", "load_kw", "meters", "expected_meters", "estimated_share"
        )
        .to_native()
    )
    return load


def _compute_meter_load(
    consumption: nw.LazyFrame[Any], *, on_feeders: nw.LazyFrame[Any]
) -> nw.LazyFrame[Any]:
    """Return the mean power of every meter on a feeder by hour, kW, and its estimated part."""
    energy, covered = nw.col("energy_kwh"), nw.col("interval_minutes")
    return (
        consumption.with_columns(
            hour_start=nw.col("interval_start").dt.truncate("1h"),
            estimated_kwh=nw.when("is_estimated").then(energy).otherwise(nw.lit(0.0)),
        )
        .group_by("meter_id", "hour_start")
        .agg(energy.sum(), nw.col("estimated_kwh").sum(), covered.sum().alias("minutes"))
        .join(on_feeders, on="meter_id", how="inner")
        .with_columns(
            mean_kw=energy * 60 / nw.col("minutes"),
            estimated_kw=nw.col("estimated_kwh") * 60 / nw.col("minutes"),
        )
        .with_columns(
            load_kw=nw.when(nw.col("customer_kind").is_in(FEED_IN_KINDS))
            .then(-nw.col("mean_kw"))
            .otherwise(nw.col("mean_kw"))
        )
    )


def mask_silent_hours(load: IntoFrameT, *, least_share: float) -> IntoFrameT:
    """Return rows of `FeederLoad` with `load_kw` null where too few of the meters reported.

    Such an hour is low because meters are silent, not because little was drawn. `least_share` (0 to
    1) of the expected meters must have reported. Hours without `expected_meters` stay as they are.

    >>> import polars as pl
    >>> load = pl.DataFrame({"load_kw": [1.0, 2.0], "meters": [9, 8], "expected_meters": [10, 10]})
    >>> mask_silent_hours(load, least_share=0.9)["load_kw"].to_list()
    [1.0, None]
    """
    least = nw.col("expected_meters") * least_share - COUNT_SLACK
    is_known = nw.col("expected_meters").is_null() | (nw.col("meters") >= least)
    known: IntoFrameT = (
        to_narwhals(load)
        .with_columns(load_kw=nw.when(is_known).then(nw.col("load_kw")))
        .to_native()
    )
    return known


def _sum_meters() -> list[nw.Expr]:
    """Return an hour's sums over the meters: net load, load of any sign, estimated part, count."""
    return [
        nw.col("load_kw").sum(),
        nw.col("mean_kw").sum(),
        nw.col("estimated_kw").sum(),
        nw.col("meter_id").count().alias("meters"),
    ]
