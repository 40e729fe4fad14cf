"""Rows around a change of the clock wait until the whole file was read: they bear on each other."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from smartgrid_core.errors import LandingError
from smartgrid_core.readings.clock_change import find_nearby_change, list_repeated_hours
from smartgrid_core.readings.parsing import read_local_times
from smartgrid_io.landing.layout import ColumnPlan

MOST_CELLS = 4_000_000
"""About 150 MB of text: a year of some ten thousand meters that write quarter-hours."""

TIMES = ("timestamp", "hour_start")
"""What the time column is called here, readings' and weather's."""


@dataclass
class HeldBack:
    """The rows of one file that lie in or near an hour which the local clock shows twice.

    Such an hour may straddle two blocks. Only times without an offset are held, and only in a zone
    whose clock goes back.
    """

    plan: ColumnPlan
    zone: str
    _held: dict[datetime, list[pl.DataFrame]] = field(default_factory=dict)
    _cells: int = 0

    def pass_on(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that need no others; ``rows`` has columns as the source names them.

        Raises LandingError if more rows wait than memory should hold.
        """
        time = next((n for n, ours in self.plan.names.items() if ours in TIMES), None)
        if time is None or not list_repeated_hours(self.zone):
            return rows
        near = find_nearby_change(read_local_times(rows, time), zone=self.zone)
        if near.null_count() == rows.height:
            return rows
        for (change,), part in (
            rows.with_columns(_change=near)
            .partition_by("_change", as_dict=True, maintain_order=True)
            .items()
        ):
            if isinstance(change, datetime):
                self._held.setdefault(change, []).append(part.drop("_change"))
                self._cells += part.height * part.width
        if self._cells > MOST_CELLS:
            raise LandingError(
                "too many rows lie around the hour that the local clock shows twice: write times "
                "with an offset (2026-10-25T02:30:00+01:00) or in UTC, or send smaller files"
            )
        return rows.filter(near.is_null())

    def release(self) -> Iterator[pl.DataFrame]:
        """Yield all that waits, one frame per change of the clock, in the order of the file."""
        for change in sorted(self._held):
            yield pl.concat(self._held.pop(change))
