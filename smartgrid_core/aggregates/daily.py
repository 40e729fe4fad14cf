"""Energy by local calendar day, 23 and 25 hours long where the clock changes."""

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from smartgrid_core.contracts.aggregates import DailyConsumption
from smartgrid_core.time import HOUR, local_day_window


def sum_daily_consumption(
    consumption: pl.DataFrame | pl.LazyFrame,
    *,
    timezone: ZoneInfo | str,
    days: Sequence[date] | None = None,
) -> pl.DataFrame:
    """Return rows of `DailyConsumption`, ordered by key: energy by local day, kWh.

    `consumption` has rows of `MeterConsumption`. A local day takes rows of two UTC days: hand in
    one UTC day more on each side and name the local `days` that are wanted; None takes all that
    appear. An interval belongs to the local day in which it starts.
    """
    zone = ZoneInfo(str(timezone))
    energy = pl.col("energy_kwh")
    by_day = (
        consumption.lazy()
        .with_columns(
            local_day=pl.col("interval_start").dt.convert_time_zone(str(zone)).dt.date(),
        )
        .filter(pl.lit(value=True) if days is None else pl.col("local_day").is_in(list(days)))
        .group_by("meter_id", "local_day")
        .agg(
            energy_kwh=energy.sum(),
            estimated_kwh=energy.filter("is_estimated").sum(),
            covered_hours=pl.col("interval_minutes").sum() / 60,
        )
        .collect()
    )
    hours = {day: _count_hours(day, zone) for day in by_day["local_day"].unique()}
    return DailyConsumption.validate(
        by_day.with_columns(
            hours=pl.col("local_day").replace_strict(
                list(hours), list(hours.values()), return_dtype=pl.Int32
            )
        )
        .select(DailyConsumption.column_names())
        .sort(DailyConsumption.primary_key()),
        cast=True,
    )


def _count_hours(day: date, zone: ZoneInfo) -> int:
    """Return the length of a local day: 23, 24 or 25 hours."""
    window = local_day_window(day, timezone=zone)
    return round((window.end - window.start) / HOUR)
