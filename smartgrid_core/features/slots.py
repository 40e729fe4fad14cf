"""The local wall clock cut into steps, on which every feature looks back."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import narwhals as nw

from smartgrid_core.time import DAY, HOUR, MICROSECOND


class Slots:
    """The local clock in steps: slot = local time / step, an integer.

    The same hour yesterday is `per_day` slots before.
    """

    def __init__(self, *, timezone: str, step: timedelta) -> None:
        if step <= timedelta(0) or DAY % step:
            raise ValueError(
                f"step {step} does not divide a day; resample to 1h, 30min or the like"
            )
        self.timezone = timezone
        self.step = step
        self.per_day = DAY // step
        self.per_hour = max(1, HOUR // step)

    def of(self, column: str) -> nw.Expr:
        """Return the slots of a UTC column."""
        local = nw.col(column).dt.convert_time_zone(self.timezone).dt.replace_time_zone(None)
        return local.dt.timestamp("us") // (self.step // MICROSECOND)

    def count_slots(self, hours: int) -> int | None:
        """Return how many slots that many hours are; None if no whole number.

        >>> Slots(timezone="UTC", step=HOUR).count_slots(24)
        24
        """
        return None if (hours * HOUR) % self.step else (hours * HOUR) // self.step


def build_frame_like(columns: Mapping[str, Any], like: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Return a frame of these columns in the other frame's engine."""
    return nw.from_dict(columns, backend=like.implementation)
