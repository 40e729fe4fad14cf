"""Validation, estimation and editing: meter readings to energy by interval."""

from datetime import timedelta

import polars as pl

from smartgrid_core.contracts.aggregates import INTERVAL_QUALITIES, MeterConsumption
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.readings.steps import SERIES, compute_energy_steps
from smartgrid_core.runs import iter_day_ranges
from smartgrid_core.time import Window

MAX_PLAUSIBLE_KW = 630.0
"""No meter draws more than the usual distribution transformer of 630 kVA gives."""

GAP_INTERVALS = 1.5
"""A step longer than this many intervals misses a reading; a shorter one is a late clock."""

CLOCK_DRIFT = timedelta(minutes=1)
"""An interval reading that comes less than this late still ends its interval."""

ENERGY_DECIMALS = 9
"""Beyond a microwatt-hour there is only the noise of subtracting large counts."""

DAYS_AT_ONCE = 31
"""A year of a few hundred meters at once would take gigabytes."""

EXACT = ("measured", "rollover")
"""Qualities whose energy follows from two sound readings."""


def compute_interval_energy(
    readings: pl.DataFrame | pl.LazyFrame,
    brackets: pl.DataFrame | pl.LazyFrame,
    *,
    window: Window,
    interval_minutes: int,
    register_capacity_kwh: float,
    max_plausible_kw: float = MAX_PLAUSIBLE_KW,
) -> pl.DataFrame:
    """Return rows of `MeterConsumption` for the UTC days of `window`, ordered by key.

    Each day's rows follow from its own readings and brackets alone, so that days may be computed
    one by one or together. A register's energy is spread evenly between two readings, and given
    out only for intervals that lie wholly between the first and the last believed reading.
    Interval readings are taken as they are; where a meter sends both kinds they win.

    Args:
        readings: Rows of `MeterReadings`; those outside the window are not looked at, except
            interval readings that end at the window's end.
        brackets: Rows of `RegisterBrackets` of the days.
        window: Whole UTC days.
        interval_minutes: Length of an interval, minutes; it divides the day.
        register_capacity_kwh: The count at which a register rolls over to zero, kWh.
        max_plausible_kw: No meter draws more, kW.

    Returns:
        One row per meter and interval.

    Raises:
        ConfigurationError: The interval does not divide the day.
    """
    if 1440 % interval_minutes:
        raise ConfigurationError(
            f"meter_interval_minutes must divide a day, as 15, 30 or 60 do; got {interval_minutes}"
        )
    counts = readings.lazy().filter(pl.col("reading").is_finite(), pl.col("reading") >= 0)
    key = MeterConsumption.primary_key()
    parts: list[pl.DataFrame] = [MeterConsumption.create_empty()]
    # Days do not depend on each other: pieces of them keep memory small.
    for first, last in iter_day_ranges(list(window.days()), longest=DAYS_AT_ONCE):
        part = Window.of_days(first, last)
        taken = _sum_interval_readings(counts, window=part, interval_minutes=interval_minutes)
        steps = compute_energy_steps(
            _collect_series(counts, brackets.lazy(), window=part),
            register_capacity_kwh=register_capacity_kwh,
            max_plausible_kw=max_plausible_kw,
        )
        counted = _spread_over_intervals(steps, interval_minutes=interval_minutes)
        parts += [taken, counted.join(taken, on=key, how="anti")]
    return MeterConsumption.validate(pl.concat(parts).sort(key), cast=True)


def _collect_series(
    readings: pl.LazyFrame, brackets: pl.LazyFrame, *, window: Window
) -> pl.DataFrame:
    """Return every day's register readings and brackets; of each instant the latest arrival."""
    own = readings.filter(
        pl.col("reading_kind") == "register", _is_within(pl.col("event_time"), window)
    ).select(
        "meter_id",
        pl.col("event_time").dt.date().alias("day"),
        "event_time",
        "reading",
        "ingested_at",
    )
    around = brackets.filter(
        pl.col("day").is_in(list(window.days())),
        pl.col("reading").is_finite(),
        pl.col("reading") >= 0,
    ).select("meter_id", "day", "event_time", "reading")
    return _keep_latest(
        pl.concat([own, around], how="diagonal"), key=[*SERIES, "event_time"]
    ).select(*SERIES, "event_time", "reading")


def _is_within(instant: pl.Expr, window: Window) -> pl.Expr:
    return (instant >= window.start) & (instant < window.end)


def _keep_latest(rows: pl.LazyFrame, *, key: list[str]) -> pl.DataFrame:
    """Return one row per key: of several the one that arrived last."""
    return rows.sort("ingested_at", "reading", nulls_last=False).unique(key, keep="last").collect()


def _sum_interval_readings(
    readings: pl.LazyFrame, *, window: Window, interval_minutes: int
) -> pl.DataFrame:
    """Return interval readings on the grid; shorter ones than the grid's are added up."""
    start = (
        (pl.col("event_time") - CLOCK_DRIFT)
        .dt.truncate(f"{interval_minutes}m")
        .alias("interval_start")
    )
    reach = window.widened(after=timedelta(minutes=interval_minutes + 1))
    intervals = readings.filter(
        pl.col("reading_kind") == "interval", _is_within(pl.col("event_time"), reach)
    )
    return (
        _keep_latest(intervals, key=["meter_id", "event_time"])
        .sort("meter_id", "event_time")
        .with_columns(start)
        .filter(_is_within(pl.col("interval_start"), window))
        .group_by("meter_id", "interval_start", maintain_order=True)
        .agg(energy_kwh=pl.col("reading").sum())
        .select(
            "meter_id",
            "interval_start",
            pl.lit(interval_minutes, dtype=pl.Int32).alias("interval_minutes"),
            "energy_kwh",
            pl.lit(value=False).alias("is_estimated"),
            pl.lit("measured").alias("quality"),
        )
    )


def _spread_over_intervals(steps: pl.DataFrame, *, interval_minutes: int) -> pl.DataFrame:
    """Return steps cut at the interval grid; intervals that they do not fill are left out."""
    rank = {quality: i for i, quality in enumerate(INTERVAL_QUALITIES)}
    parts = _cut_at_grid(
        _cut_at_midnight(steps, interval_minutes=interval_minutes),
        interval_minutes=interval_minutes,
    )
    return (
        parts.group_by("meter_id", "interval_start", maintain_order=True)
        .agg(
            energy_kwh=(pl.col("power") * pl.col("covered_us")).sum().round(ENERGY_DECIMALS),
            covered_us=pl.col("covered_us").sum(),
            is_estimated=pl.col("is_estimated").any(),
            rank=pl.col("quality").replace_strict(rank, return_dtype=pl.Int8).max(),
        )
        .filter(pl.col("covered_us") == interval_minutes * 60_000_000)
        .select(
            "meter_id",
            "interval_start",
            pl.lit(interval_minutes, dtype=pl.Int32).alias("interval_minutes"),
            "energy_kwh",
            "is_estimated",
            pl.col("rank")
            .replace_strict({i: q for q, i in rank.items()}, return_dtype=pl.String)
            .alias("quality"),
        )
    )


def _cut_at_midnight(steps: pl.DataFrame, *, interval_minutes: int) -> pl.DataFrame:
    """Return the part of every step within its day, with power in kWh per microsecond."""
    span = pl.col("step_end") - pl.col("step_start")
    day_start = pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    is_gap = span > GAP_INTERVALS * interval_minutes * pl.duration(minutes=1)
    return steps.with_columns(
        power=pl.col("energy_kwh") / span.dt.total_microseconds(),
        part_start=pl.max_horizontal("step_start", day_start),
        part_end=pl.min_horizontal("step_end", day_start + pl.duration(days=1)),
        quality=pl.when(is_gap & (pl.col("quality") == "measured"))
        .then(pl.lit("gap"))
        .otherwise("quality"),
        is_estimated=is_gap | ~pl.col("quality").is_in(EXACT),
    ).filter(pl.col("part_start") < pl.col("part_end"))


def _cut_at_grid(cut: pl.DataFrame, *, interval_minutes: int) -> pl.DataFrame:
    """Return one row per part of a step and interval of the grid; `covered_us` is its length."""
    interval = pl.duration(minutes=interval_minutes)
    grid = f"{interval_minutes}m"
    first = pl.col("part_start").dt.truncate(grid)
    last = (pl.col("part_end") - pl.duration(microseconds=1)).dt.truncate(grid)
    count = ((last - first).dt.total_minutes() // interval_minutes + 1).cast(pl.Int64)
    return (
        cut.with_columns(first=first, nth=pl.int_ranges(0, count))
        .explode("nth")
        .with_columns(interval_start=pl.col("first") + pl.col("nth") * interval)
        .with_columns(
            covered_us=pl.min_horizontal("part_end", pl.col("interval_start") + interval)
            - pl.max_horizontal("part_start", "interval_start")
        )
        .with_columns(pl.col("covered_us").dt.total_microseconds())
    )


def summarise_vee(consumption: pl.DataFrame) -> pl.DataFrame:
    """Return one row per (meter_id, quality): intervals, energy_kwh, first_start, last_start.

    `consumption` has rows of `MeterConsumption`.
    """
    return (
        consumption.group_by("meter_id", "quality")
        .agg(
            intervals=pl.len().cast(pl.Int64),
            energy_kwh=pl.col("energy_kwh").sum(),
            first_start=pl.col("interval_start").min(),
            last_start=pl.col("interval_start").max(),
        )
        .sort("meter_id", "quality")
    )
