"""Consumer profiles: how every meter's typical weekday and weekend day look, free of its size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from smartgrid_core.aggregates.feeder import FEED_IN_KINDS
from smartgrid_core.contracts.segments import HOURS, ConsumerProfiles
from smartgrid_core.time import Window

WEEKDAYS, WEEKEND_DAYS = 5, 2
"""A standard week: what shapes are weighted by, however many holidays the window has."""

NIGHT = range(6)
MIDDAY = range(11, 15)
"""Local hours around the sun's highest stand, in winter and summer time."""

COARSEST_MINUTES = 60
"""A longer interval says nothing of the hours within it."""

WHOLE_DAY_MINUTES = 20 * 60
"""Days with less on record say little of how days differ."""

FEWEST_NEIGHBOURS = 3
"""Meters on a feeder, the meter itself among them, that make a median worth the name."""

METERS_PER_BATCH = 5_000
"""Eight weeks of so many meters are some seven million hours: a few hundred megabytes."""

TOO_LITTLE, NO_ENERGY = "too_little_coverage", "no_energy"


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles of a window, and who has none."""

    frame: pl.DataFrame
    """Rows of `ConsumerProfiles`, ordered by meter_id."""
    left_out: Mapping[str, int]
    """Meters without a profile by reason: TOO_LITTLE (also: an hour of the week is missing) or
    NO_ENERGY."""


def build_consumer_profiles(
    consumption: pl.LazyFrame,
    *,
    places: pl.DataFrame,
    window: Window,
    timezone: ZoneInfo | str,
    holidays: frozenset[date] = frozenset(),
    min_coverage: float = 0.5,
    meters_per_batch: int = METERS_PER_BATCH,
) -> Profiles:
    """Return the profiles of all meters that have energy in the window.

    Estimated intervals are left aside: their energy is right, their shape is a straight line. Rows
    are read once per batch of meters and never held together: memory is that of a batch and of the
    profiles. Parquet files in the order of their key are only opened where a batch lies.

    Features after Haben, Singleton and Grindrod (2016), IEEE Transactions on Smart Grid 7(1):
    power relative to the mean by time of day, relative deviation, weekday against weekend.

    Args:
        consumption: Rows of `MeterConsumption` of the window.
        places: Rows of `MeterPlaces`; a meter without a place is profiled, but has no neighbours.
        window: The span that profiles look at.
        timezone: Whose clock cuts the hours and days.
        holidays: Local days that count as weekend.
        min_coverage: Share of the window (0 to 1) below which a meter gets no profile.
        meters_per_batch: How many meters are read at once.

    Returns:
        The profiles, and how many meters have none and why.
    """
    usable = consumption.filter(
        pl.col("interval_start").is_between(window.start, window.end, closed="left")
    )
    meters = _list_meters(usable, places)
    none = pl.DataFrame(schema=_batch_schema())
    frames = [
        _profile_batch(
            usable, first, last, window=window, timezone=str(timezone), holidays=holidays
        )
        for first, last in _split_batches(meters, size=meters_per_batch)
    ]
    raw = pl.concat([none, *frames])
    covered = raw.filter(
        pl.col("coverage") >= min_coverage,
        pl.col("weekday_kw").list.len() == HOURS,
        pl.col("weekend_kw").list.len() == HOURS,
    )
    drawing = covered.filter(pl.col("mean_kw") > 0)
    left_out = {
        TOO_LITTLE: len(meters) - covered.height,
        NO_ENERGY: covered.height - drawing.height,
    }
    profiles = _add_neighbours(_add_shapes(drawing, window=window), places)
    return Profiles(
        ConsumerProfiles.validate(
            profiles.select(ConsumerProfiles.column_names()).sort("meter_id"), cast=True
        ),
        {reason: count for reason, count in left_out.items() if count},
    )


def _list_meters(consumption: pl.LazyFrame, places: pl.DataFrame) -> list[str]:
    """Return every meter that has rows or a place, in order."""
    reporting = consumption.select("meter_id").unique().collect(engine="streaming")
    return pl.concat([reporting, places.select("meter_id")])["meter_id"].unique().sort().to_list()


def _split_batches(meters: Sequence[str], *, size: int) -> Iterator[tuple[str, str]]:
    """Yield the first and last meter of every batch."""
    for start in range(0, len(meters), size):
        yield meters[start], meters[min(start + size, len(meters)) - 1]


def _batch_schema() -> dict[str, pl.DataType]:
    """Return the columns of a batch: typical days as lists of 24 hours, and sizes, kW."""
    kw = pl.Float64()
    return {
        "meter_id": pl.String(),
        "weekday_kw": pl.List(kw),
        "weekend_kw": pl.List(kw),
        "mean_kw": kw,
        "variability": kw,
        "coverage": kw,
    }


def _profile_batch(
    consumption: pl.LazyFrame,
    first: str,
    last: str,
    *,
    window: Window,
    timezone: str,
    holidays: frozenset[date],
) -> pl.DataFrame:
    """Return the typical days of a batch of meters, kW, in the columns of `_batch_schema`.

    Args:
        consumption: Rows of `MeterConsumption` of the window.
        first: The first meter_id of the batch.
        last: The last meter_id of the batch, included.
        window: The span that coverage is measured against.
        timezone: IANA name of the clock that cuts hours and days.
        holidays: Local days that count as weekend.

    Returns:
        One row per meter that has measured intervals.
    """
    hours = _sum_measured_hours(consumption, first, last, timezone=timezone)
    typical = _list_typical_days(hours, holidays=holidays)
    span_minutes = (window.end - window.start).total_seconds() / 60
    covered = hours.group_by("meter_id", maintain_order=True).agg(
        coverage=(pl.col("minutes").sum() / span_minutes).clip(0.0, 1.0)
    )
    both = (
        covered.join(_select_days(typical, weekend=False), on="meter_id", how="left")
        .join(_select_days(typical, weekend=True), on="meter_id", how="left")
        .join(_measure_variability(hours), on="meter_id", how="left")
    )
    return both.with_columns(
        mean_kw=_average_week(pl.col("weekday_kw").list.mean(), pl.col("weekend_kw").list.mean()),
        variability=pl.col("variability").fill_null(0.0),
    ).select(pl.col(name).cast(dtype) for name, dtype in _batch_schema().items())


def _sum_measured_hours(
    consumption: pl.LazyFrame, first: str, last: str, *, timezone: str
) -> pl.DataFrame:
    """Return measured energy by meter, local day and local hour, and the minutes it covers.

    Args:
        consumption: Rows of `MeterConsumption`.
        first: The first meter_id.
        last: The last meter_id, included.
        timezone: IANA name of the clock that cuts hours and days.

    Returns:
        meter_id, local_day, hour, energy_kwh, minutes, ordered by the first three.
    """
    local = pl.col("interval_start").dt.convert_time_zone(timezone)
    return (
        consumption.filter(
            pl.col("meter_id").is_between(pl.lit(first), pl.lit(last)),
            ~pl.col("is_estimated"),
            pl.col("interval_minutes") <= COARSEST_MINUTES,
        )
        .group_by("meter_id", local_day=local.dt.date(), hour=local.dt.hour())
        .agg(pl.col("energy_kwh").sum(), minutes=pl.col("interval_minutes").sum())
        .collect(engine="streaming")
        # Sums of floats depend on the order of their rows, which a hash table does not keep.
        .sort("meter_id", "local_day", "hour")
    )


def _compute_mean_kw() -> pl.Expr:
    """Return the mean power of a group of hours, kW."""
    return pl.col("energy_kwh").sum() * 60 / pl.col("minutes").sum()


def _list_typical_days(hours: pl.DataFrame, *, holidays: frozenset[date]) -> pl.DataFrame:
    """Return the mean power by local hour as a list, kW, per meter and kind of day."""
    is_weekend = (pl.col("local_day").dt.weekday() >= 6) | pl.col("local_day").is_in(list(holidays))
    return (
        hours.group_by("meter_id", "hour", is_weekend=is_weekend, maintain_order=True)
        .agg(kw=_compute_mean_kw())
        .sort("meter_id", "is_weekend", "hour")
        .group_by("meter_id", "is_weekend", maintain_order=True)
        .agg("kw")
    )


def _measure_variability(hours: pl.DataFrame) -> pl.DataFrame:
    """Return the relative deviation of a meter's whole days from each other."""
    return (
        hours.group_by("meter_id", "local_day", maintain_order=True)
        .agg(kw=_compute_mean_kw(), minutes=pl.col("minutes").sum())
        .filter(pl.col("minutes") >= WHOLE_DAY_MINUTES)
        .group_by("meter_id", maintain_order=True)
        .agg(
            variability=pl.when(pl.col("kw").mean() > 0)
            .then(pl.col("kw").std() / pl.col("kw").mean())
            .fill_null(0.0)
        )
    )


def _select_days(typical: pl.DataFrame, *, weekend: bool) -> pl.DataFrame:
    """Return the typical day of one kind of day: meter_id, and 24 hours as a list, kW."""
    name = "weekend_kw" if weekend else "weekday_kw"
    return typical.filter(pl.col("is_weekend") == weekend).select(
        "meter_id", pl.col("kw").alias(name)
    )


def _average_week(weekday: pl.Expr, weekend: pl.Expr) -> pl.Expr:
    """Return the mean over a standard week."""
    return (WEEKDAYS * weekday + WEEKEND_DAYS * weekend) / (WEEKDAYS + WEEKEND_DAYS)


def _add_shapes(batch: pl.DataFrame, *, window: Window) -> pl.DataFrame:
    """Return the columns of `ConsumerProfiles` that need no other meter, and `midday`."""
    relative = batch.with_columns(
        (pl.col(f"{kind}_kw") / pl.col("mean_kw"))
        .cast(pl.List(pl.Float32))
        .list.to_array(HOURS)
        .alias(f"{kind}_shape")
        for kind in ("weekday", "weekend")
    )
    week = [
        _average_week(pl.col("weekday_kw").list.get(hour), pl.col("weekend_kw").list.get(hour))
        / pl.col("mean_kw")
        for hour in range(HOURS)
    ]
    weekend = WEEKEND_DAYS * pl.col("weekend_kw").list.mean()
    return relative.with_columns(
        peak_hour=pl.concat_list(week).list.arg_max().cast(pl.Int32),
        night_share=(pl.sum_horizontal(week[hour] for hour in NIGHT) / HOURS).clip(0.0, 1.0),
        weekend_share=(weekend / ((WEEKDAYS + WEEKEND_DAYS) * pl.col("mean_kw"))).clip(0.0, 1.0),
        midday=pl.mean_horizontal(week[hour] for hour in MIDDAY),
        window_start=pl.lit(window.start).cast(pl.Datetime("us", "UTC")),
        window_end=pl.lit(window.end).cast(pl.Datetime("us", "UTC")),
    )


def _add_neighbours(profiles: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Return the profiles with feed-in registers and midday against the feeder's median."""
    known = places.select("meter_id", "customer_id", "customer_kind", "feeder_id")
    feeding = known.filter(pl.col("customer_kind").is_in(FEED_IN_KINDS))
    customers = feeding["customer_id"].drop_nulls().unique().to_list()
    placed = profiles.join(known, on="meter_id", how="left").with_columns(
        is_feed_in=pl.col("customer_kind").is_in(FEED_IN_KINDS).fill_null(value=False)
    )
    drawing = ~pl.col("is_feed_in") & pl.col("feeder_id").is_not_null()
    feeders = (
        placed.filter(drawing)
        .group_by("feeder_id")
        .agg(usual_midday=pl.col("midday").median(), neighbours=pl.len())
    )
    dip = pl.col("usual_midday") - pl.col("midday")
    return placed.join(feeders, on="feeder_id", how="left").with_columns(
        midday_dip=pl.when(drawing & (pl.col("neighbours") >= FEWEST_NEIGHBOURS)).then(dip),
        has_feed_in=pl.col("is_feed_in")
        | pl.col("customer_id").is_in(customers).fill_null(value=False),
    )
