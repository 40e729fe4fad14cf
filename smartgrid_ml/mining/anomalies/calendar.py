"""Which local hour and which kind of day every slot of a UTC day is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
import polars as pl

from smartgrid_core.features.calendar import list_public_holidays
from smartgrid_core.time import DAY, midnight
from smartgrid_ml.mining.anomalies.expected_range import Ints


@dataclass(frozen=True, slots=True)
class Calendar:
    """The local slot and kind of day of every slot of every day, also of the days before.

    slots, types: (history + n_days, n_slots) in the order of time.
    """

    slots: Ints
    types: Ints
    history: int

    @classmethod
    def of(
        cls,
        days: Sequence[date],
        history: int,
        *,
        slots: int,
        timezone: str,
        country: str | None,
    ) -> Self:
        """Of these UTC days and the `history` ones before; ``slots``: how many a day has.

        Raises ValueError for a country whose holidays are not known.
        """
        if not days:
            return cls(np.empty((0, slots), np.int64), np.empty((0, slots), np.int64), history)
        minutes = 24 * 60 // slots
        start, end = midnight(days[0]) - history * DAY, midnight(days[-1]) + DAY
        instants = pl.datetime_range(
            start, end, interval=f"{minutes}m", closed="left", time_zone="UTC", eager=True
        )
        local = instants.dt.convert_time_zone(timezone)
        slot = (local.dt.hour().cast(pl.Int64) * 60 + local.dt.minute()) // minutes
        local_days = local.dt.date()
        off = list_public_holidays(start.date() - DAY, end.date() + DAY, country=country)
        weekday = local_days.dt.weekday().cast(pl.Int64)
        kind = pl.DataFrame({"day": local_days, "weekday": weekday}).select(
            pl.when((pl.col("weekday") == 7) | pl.col("day").is_in(sorted(off)))
            .then(2)
            .when(pl.col("weekday") == 6)
            .then(1)
            .otherwise(0)
        )
        shape = (history + len(days), slots)
        return cls(
            slot.to_numpy().reshape(shape).astype(np.int64),
            kind.to_series().to_numpy().reshape(shape).astype(np.int64),
            history,
        )

    def of_day(self, number: int) -> tuple[Ints, Ints, Ints]:
        """Slots and types of a day in the order of time, and types of the past by local slot."""
        now = self.history + number
        past = slice(now - self.history, now)
        by_slot = np.zeros((self.history, self.slots.shape[1]), dtype=np.int64)
        np.put_along_axis(by_slot, self.slots[past], self.types[past], axis=1)
        return self.slots[now], self.types[now], by_slot
