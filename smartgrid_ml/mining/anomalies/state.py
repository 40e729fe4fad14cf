"""What a detector remembers of a series from day to day, and how that is kept as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from smartgrid_core.contracts.anomalies import ANOMALY_KINDS
from smartgrid_ml.mining.anomalies.expected_range import Floats

POINT, SHIFT, DAY_SHIFT, DRIFT, FLAT, SILENT = range(6)
DETECTORS = 6

EXTREME_DAYS = 35
"""Five weeks of daily maxima: enough to know a habit, few enough to forget a season."""

EVIDENCE = 7
"""Figures of one kind within a spell: score, time, value, lower, upper, a figure aside, hours."""

SPELL_FIGURES = 2 + EVIDENCE * len(ANOMALY_KINDS)
"""Start and end of the open spell (µs since 1970, NaN for none), then the evidence of each kind."""


ARRAYS = (
    "history",
    "spread",
    "gram",
    "moment",
    "extremes",
    "tail",
    "daily",
    "cusum",
    "run",
    "spell",
)

STATES = pl.Schema(
    {
        "series": pl.String(),
        "day": pl.Date(),
        **{name: pl.List(pl.Float64()) for name in ARRAYS},
    }
)
"""The memory as a table: one row per series and day, each array as one flat list."""


@dataclass(frozen=True, slots=True)
class StateSizes:
    """The lengths of what is remembered: days of profile, slots of a day, regressors."""

    days: int
    slots: int
    regressors: int
    tail: int


@dataclass(slots=True)
class DetectorState:
    """One row per series along the first axis of every array; NaN is unknown.

    history: (n, days, slots), values by local time of day without what neighbours and weather
    explain, oldest day first. spread: (n, days), the day's median distance from the profile.
    gram, moment: (n, k, k), (n, k), of the robust regression on neighbours and weather. extremes:
    (n, detectors, EXTREME_DAYS), the daily maxima. tail: (n, tail), the last deviations.
    daily: (n, EXTREME_DAYS), the days' median deviations. cusum: (n, 2). run: (n, 4), the last
    value, how many steps it stands, how many steps are missing, share of the time at rest.
    spell: (n, SPELL_FIGURES), the open spell.
    """

    series: tuple[str, ...]
    history: Floats
    spread: Floats
    gram: Floats
    moment: Floats
    extremes: Floats
    tail: Floats
    daily: Floats
    cusum: Floats
    run: Floats
    spell: Floats

    @classmethod
    def blank(cls, series: Sequence[str], sizes: StateSizes) -> "DetectorState":
        """Nothing is known yet."""
        n, k = len(series), sizes.regressors
        return cls(
            series=tuple(series),
            history=np.full((n, sizes.days, sizes.slots), np.nan),
            spread=np.full((n, sizes.days), np.nan),
            gram=np.zeros((n, k, k)),
            moment=np.zeros((n, k)),
            extremes=np.full((n, DETECTORS, EXTREME_DAYS), np.nan),
            tail=np.full((n, sizes.tail), np.nan),
            daily=np.full((n, EXTREME_DAYS), np.nan),
            cusum=np.zeros((n, 2)),
            run=np.tile(np.array([np.nan, 0.0, np.nan, 0.0]), (n, 1)),
            spell=np.full((n, SPELL_FIGURES), np.nan),
        )

    def arrays(self) -> dict[str, Floats]:
        """Every array by its name."""
        return {name: getattr(self, name) for name in ARRAYS}

    def of(self, series: Sequence[str], sizes: StateSizes) -> "DetectorState":
        """The memory of these series, in their order; blank for those that are new."""
        wanted = DetectorState.blank(series, sizes)
        place = {name: row for row, name in enumerate(self.series)}
        known = [(row, place[name]) for row, name in enumerate(series) if name in place]
        if known:
            to, from_ = (list(rows) for rows in zip(*known, strict=True))
            for name, array in wanted.arrays().items():
                mine = getattr(self, name)
                if mine.shape[1:] == array.shape[1:]:
                    array[to] = mine[from_]
        return wanted

    def forget(self) -> None:
        """Let series of which no day is known any more be as if they had never been."""
        gone = ~np.isfinite(self.history).any(axis=(1, 2)) & np.isfinite(self.run[:, 2])
        gone &= self.run[:, 2] > 0
        days, slots = self.history.shape[1:]
        sizes = StateSizes(days, slots, self.moment.shape[1], self.tail.shape[1])
        blank = DetectorState.blank(self.series, sizes).arrays()
        for name, array in self.arrays().items():
            array[gone] = blank[name][gone]

    def frame(self, day: date) -> pl.DataFrame:
        """One row per series that was ever seen: series, day, each array as one list of float64."""
        seen = np.isfinite(self.run[:, 2])
        names = [name for name, is_seen in zip(self.series, seen, strict=True) if is_seen]
        rows = len(names)
        columns: dict[str, pl.Series] = {}
        for name, array in self.arrays().items():
            flat = array[seen].reshape(rows, int(np.prod(array.shape[1:])))
            values = pl.Series(name, np.ascontiguousarray(flat).ravel(), dtype=pl.Float64)
            lists = pl.Series(name, [], dtype=pl.List(pl.Float64))
            if rows:
                lists = values.reshape((rows, flat.shape[1])).arr.to_list().alias(name)
            columns[name] = lists
        days = pl.Series("day", [day] * rows, dtype=pl.Date)
        series = pl.Series("series", names, dtype=pl.String)
        return pl.DataFrame([series, days, *columns.values()])

    @classmethod
    def read(cls, rows: pl.DataFrame, sizes: StateSizes) -> "DetectorState":
        """The memory that `frame` wrote; arrays of other lengths than now wanted start anew."""
        blank = cls.blank(rows["series"].to_list(), sizes)
        for name, array in blank.arrays().items():
            if rows.is_empty() or name not in rows.columns:
                continue
            lengths = rows[name].list.len().unique().to_list()
            if lengths == [int(np.prod(array.shape[1:]))]:
                flat = rows[name].explode().to_numpy()
                array[...] = flat.reshape(array.shape)
        return blank
