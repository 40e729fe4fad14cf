"""Which local hour and which kind of day every slot of a UTC day is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
import polars as pl

from smartgrid_core.features.calendar import list_public_holidays
from smartgrid_core.time import DAY, midnight
from smartgrid_ml.mining.anomalies.nan_arrays import Ints
from smartgrid_ml.mining.anomalies.settings import DetectorSettings


@dataclass(frozen=True, slots=True)
class DayCalendar:
    """The slots of one UTC day; kinds are 0 workday, 1 Saturday, 2 Sunday or holiday.

    Attributes:
        slots: int64 (n_slots,), the local slot of each slot of the day, in the order of time.
        kinds: int64 (n_slots,), its local kind of day.
        past_kinds: int64 (n_days, n_slots), kinds of the days before, by local slot.
    """

    slots: Ints
    kinds: Ints
    past_kinds: Ints


@dataclass(frozen=True, slots=True)
class Calendar:
    """The local slot and kind of day of every slot of every day, and of the days before.

    Attributes:
        slots: int64 (history + n_days, n_slots), local slots in the order of time.
        kinds: int64 (history + n_days, n_slots), kinds of day as in `DayCalendar`.
        history: Days before the first one.
    """

    slots: Ints
    kinds: Ints
    history: int

    @classmethod
    def of(cls, days: Sequence[date], settings: DetectorSettings) -> Self:
        """Return the calendar of consecutive UTC days and the history before them.

        Raises ValueError for a country whose holidays are not known.
        """
        history, n_slots = settings.history_days, settings.slots
        if not days:
            return cls(np.empty((0, n_slots), np.int64), np.empty((0, n_slots), np.int64), history)
        minutes = 24 * 60 // n_slots
        start, end = midnight(days[0]) - history * DAY, midnight(days[-1]) + DAY
        instants = pl.datetime_range(
            start, end, interval=f"{minutes}m", closed="left", time_zone="UTC", eager=True
        )
        local = instants.dt.convert_time_zone(settings.timezone)
        slot = (local.dt.hour().cast(pl.Int64) * 60 + local.dt.minute()) // minutes
        local_days = local.dt.date()
        off = list_public_holidays(start.date() - DAY, end.date() + DAY, country=settings.country)
        weekday = local_days.dt.weekday().cast(pl.Int64)
        kind = pl.DataFrame({"day": local_days, "weekday": weekday}).select(
            pl.when((pl.col("weekday") == 7) | pl.col("day").is_in(sorted(off)))
            .then(2)
            .when(pl.col("weekday") == 6)
            .then(1)
            .otherwise(0)
        )
        shape = (history + len(days), n_slots)
        return cls(
            slot.to_numpy().reshape(shape).astype(np.int64),
            kind.to_series().to_numpy().reshape(shape).astype(np.int64),
            history,
        )

    def of_day(self, number: int) -> DayCalendar:
        """Return the calendar of the day of this number, 0 for the first."""
        now = self.history + number
        past = slice(number, now)
        by_slot = np.zeros((self.history, self.slots.shape[1]), dtype=np.int64)
        np.put_along_axis(by_slot, self.slots[past], self.kinds[past], axis=1)
        return DayCalendar(self.slots[now], self.kinds[now], by_slot)
