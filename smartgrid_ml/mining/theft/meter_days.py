"""The energy of meters as an array of local days, which is how habits are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from smartgrid_core.arrays import F32, I64, Bool

HALF_HOURS, HOURS = 48, 24
"""Slots of a day: half-hours where meters are read as often, else hours."""


@dataclass(frozen=True, slots=True)
class MeterDays:
    """Energy by meter, local day and slot of the day."""

    meter_ids: tuple[str, ...]
    """(n_meters,)"""
    days: tuple[date, ...]
    """Consecutive local days, (n_days,)."""
    energy_kwh: F32
    """(n_meters, n_days, n_slots); NaN throughout a day that is not known in full."""

    @property
    def is_whole(self) -> Bool:
        """Which days of which meters are known, (n_meters, n_days)."""
        return ~np.isnan(self.energy_kwh[:, :, 0])

    def select(self, rows: Sequence[int] | I64) -> "MeterDays":
        """Return some of the meters, by position."""
        return MeterDays(
            tuple(self.meter_ids[row] for row in rows), self.days, self.energy_kwh[np.asarray(rows)]
        )

    def iter_batches(self, size: int) -> Iterator["MeterDays"]:
        """Yield all meters, at most `size` at a time."""
        for first in range(0, len(self.meter_ids), size):
            yield self.select(range(first, min(first + size, len(self.meter_ids))))


def choose_slot_count(consumption: pl.LazyFrame) -> int:
    """Return HALF_HOURS if every interval of `MeterConsumption` fits into one, else HOURS."""
    longest = consumption.select(pl.col("interval_minutes").max()).collect().item()
    return HALF_HOURS if longest is not None and longest <= 30 else HOURS


def build_meter_days(
    consumption: pl.DataFrame | pl.LazyFrame,
    *,
    first: date,
    last: date,
    timezone: ZoneInfo,
    n_slots: int = HALF_HOURS,
) -> MeterDays:
    """Return the local days of every meter that has a whole one, in the order of meter ids.

    A day is whole if every slot is covered by measured energy: what VEE estimated is no evidence of
    how anybody lives. In the hour that autumn repeats the two are averaged; the day that lacks an
    hour in spring is not whole.

    Args:
        consumption: Rows of `MeterConsumption`.
        first: The first local day.
        last: The last local day, included.
        timezone: Says when a local day begins.
        n_slots: Slots of a day; intervals are not longer than a slot.
    """
    slot_minutes = 24 * 60 // n_slots
    n_days = (last - first).days + 1
    local = pl.col("interval_start").dt.convert_time_zone(timezone.key)
    slot = (local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()) // slot_minutes
    rows = (
        consumption.lazy()
        .select(
            "meter_id",
            "energy_kwh",
            "interval_minutes",
            "is_estimated",
            slot=slot,
            day=(local.dt.date() - pl.lit(first)).dt.total_days().cast(pl.Int32),
        )
        .filter(pl.col("day").is_between(0, n_days - 1))
        .group_by("meter_id", "day", "slot")
        .agg(
            pl.col("energy_kwh").sum(),
            pl.col("interval_minutes").sum().alias("minutes"),
            pl.col("is_estimated").any(),
        )
        .filter(~pl.col("is_estimated"), pl.col("minutes") >= slot_minutes)
        .with_columns(pl.col("energy_kwh") * slot_minutes / pl.col("minutes"))
        .filter(pl.len().over("meter_id", "day") == n_slots)
        .collect()
    )
    meter_ids = rows["meter_id"].unique().sort()
    energy = np.full((len(meter_ids), n_days, n_slots), np.nan, dtype=np.float32)
    position = meter_ids.search_sorted(rows["meter_id"]).to_numpy()
    energy[position, rows["day"].to_numpy(), rows["slot"].to_numpy()] = rows["energy_kwh"].cast(
        pl.Float32
    )
    days = tuple(first + timedelta(days=number) for number in range(n_days))
    return MeterDays(tuple(meter_ids.to_list()), days, energy)
