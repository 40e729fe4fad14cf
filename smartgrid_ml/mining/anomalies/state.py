"""What is remembered of every series from day to day, and how that is kept as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from smartgrid_core.contracts.anomalies import ANOMALY_KINDS
from smartgrid_ml.mining.anomalies.episodes import Episode, Evidence
from smartgrid_ml.mining.anomalies.nan_arrays import Floats

POINT, SHIFT, DAY_SHIFT, DRIFT, FLAT, SILENT = range(6)
"""Detectors, by their place in arrays: one value, medians of hours and of a day, cumulated sums,
standstill, silence."""

DETECTORS = 6

EXTREME_DAYS = 35
"""Five weeks of daily maxima: enough to know a habit, few enough to forget a season."""

ARRAYS = ("history", "spread", "gram", "moment", "extremes", "tail", "daily", "cusum")
"""Fields of a state that are stored under their own names."""

RUNS = ("last_value", "still_steps", "silent_steps", "rest_share")
"""Fields of a state that are stored together, in this order, as the column `run`."""

EVIDENCE_FIGURES = ("score", "time_us", "value", "lower", "upper", "imbalance_pct")

KIND_FIGURES = len(EVIDENCE_FIGURES) + 1
"""Figures of one kind in a stored episode: its worst moment, then how many hours it lasted."""

EPISODE_FIGURES = 2 + KIND_FIGURES * len(ANOMALY_KINDS)
"""Figures of a stored episode: start and end, then those of each of ANOMALY_KINDS; NaN for none."""

STATES = pl.Schema(
    {
        "series": pl.String(),
        "day": pl.Date(),
        **{name: pl.List(pl.Float64()) for name in (*ARRAYS, "run", "spell")},
    }
)
"""States as a table: one row per series and day, each array as one flat list."""


@dataclass(frozen=True, slots=True)
class StateSizes:
    """The lengths of what is remembered of a series.

    Attributes:
        days: Days of the profile.
        slots: Slots of a day.
        regressors: Influences of the regression: the neighbours' and each channel of weather.
        tail: Slots of deviations that a rolling median needs of the days before.
    """

    days: int
    slots: int
    regressors: int
    tail: int


@dataclass(slots=True)
class DetectorState:
    """What is known of n series when a day has ended; every array is float64, NaN is unknown.

    Attributes:
        series: Names of the rows.
        history: (n, days, slots), unit of the series: values by local time of day without what
            neighbours and weather explain, oldest day first.
        spread: (n, days), the day's median distance from the profile, unit of the series.
        gram: (n, k, k), sums of products of the k regressors, for the robust regression.
        moment: (n, k), sums of products of regressors and deviations.
        extremes: (n, DETECTORS, EXTREME_DAYS), each detector's largest strangeness of each day.
        tail: (n, tail), the last slots' deviations, in spreads.
        daily: (n, EXTREME_DAYS), the days' median deviations, in spreads.
        cusum: (n, 2), cumulated sums of them upwards and downwards.
        last_value: (n,), the last step's value, unit of the series.
        still_steps: (n,), how many steps before the last one had that value already.
        silent_steps: (n,), how many steps up to the last are missing; NaN before the first value.
        rest_share: (n,), share of the time, 0 to 1, that the series stands still for hours.
        episodes: n open episodes; None where nothing is strange.
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
    last_value: Floats
    still_steps: Floats
    silent_steps: Floats
    rest_share: Floats
    episodes: list[Episode | None]

    @classmethod
    def create_blank(cls, series: Sequence[str], sizes: StateSizes) -> "DetectorState":
        """Return the state of series of which nothing is known yet."""
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
            last_value=np.full(n, np.nan),
            still_steps=np.zeros(n),
            silent_steps=np.full(n, np.nan),
            rest_share=np.zeros(n),
            episodes=[None] * n,
        )

    def select(self, series: Sequence[str], sizes: StateSizes) -> "DetectorState":
        """Return the state of these series, in their order; blank for those that are new."""
        wanted = DetectorState.create_blank(series, sizes)
        place = {name: row for row, name in enumerate(self.series)}
        known = [(row, place[name]) for row, name in enumerate(series) if name in place]
        to, from_ = np.array(known, dtype=np.int64).reshape(-1, 2).T
        for field in (*ARRAYS, *RUNS):
            array, stored = getattr(wanted, field), getattr(self, field)
            if stored.shape[1:] == array.shape[1:]:
                array[to] = stored[from_]
        for row, stored_row in known:
            wanted.episodes[row] = self.episodes[stored_row]
        return wanted

    def forget_silent(self) -> None:
        """Blank, in place, the silent series of which no day of the history is known any more."""
        is_gone = ~np.isfinite(self.history).any(axis=(1, 2)) & (self.silent_steps > 0)
        days, slots = self.history.shape[1:]
        sizes = StateSizes(days, slots, self.moment.shape[1], self.tail.shape[1])
        blank = DetectorState.create_blank(self.series, sizes)
        for name in (*ARRAYS, *RUNS):
            getattr(self, name)[is_gone] = getattr(blank, name)[is_gone]
        for row in np.flatnonzero(is_gone):
            self.episodes[row] = None

    def to_frame(self, day: date) -> pl.DataFrame:
        """Return rows of STATES, one per series that ever had a value."""
        is_known = np.isfinite(self.silent_steps)
        names = [self.series[row] for row in np.flatnonzero(is_known)]
        stored = {name: getattr(self, name) for name in ARRAYS}
        stored["run"] = np.stack([getattr(self, name) for name in RUNS], axis=1)
        stored["spell"] = _flatten_episodes(self.episodes)
        return pl.DataFrame(
            [
                pl.Series("series", names, dtype=pl.String),
                pl.Series("day", [day] * len(names), dtype=pl.Date),
                *(_to_lists(name, array[is_known]) for name, array in stored.items()),
            ]
        )

    @classmethod
    def from_frame(cls, rows: pl.DataFrame, sizes: StateSizes) -> "DetectorState":
        """Return the state that `to_frame` wrote; arrays of other lengths than wanted are blank."""
        state = cls.create_blank(rows["series"].to_list(), sizes)
        for name in ARRAYS:
            array = getattr(state, name)
            stored = _read_lists(rows, name, length=int(np.prod(array.shape[1:])))
            if stored is not None:
                array[...] = stored.reshape(array.shape)
        runs = _read_lists(rows, "run", length=len(RUNS))
        if runs is not None:
            for name, figures in zip(RUNS, runs.T, strict=True):
                getattr(state, name)[...] = figures
        episodes = _read_lists(rows, "spell", length=EPISODE_FIGURES)
        if episodes is not None:
            state.episodes = [_read_episode(figures) for figures in episodes]
        return state


def _to_lists(name: str, array: Floats) -> pl.Series:
    """Return one list of float64 per row of the array."""
    rows, length = len(array), int(np.prod(array.shape[1:]))
    if not rows:
        return pl.Series(name, [], dtype=pl.List(pl.Float64))
    flat = np.ascontiguousarray(array).ravel()
    values = pl.Series(name, flat, dtype=pl.Float64)
    return values.reshape((rows, length)).arr.to_list().alias(name)


def _read_lists(rows: pl.DataFrame, name: str, *, length: int) -> Floats | None:
    """Return a column of lists as (n_rows, length); None unless all lists have that length."""
    if rows.is_empty() or name not in rows.columns:
        return None
    if rows[name].list.len().unique().to_list() != [length]:
        return None
    return rows[name].explode().to_numpy().reshape(rows.height, length)


def _flatten_episodes(episodes: Sequence[Episode | None]) -> Floats:
    """Return the stored form of the episodes, (n, EPISODE_FIGURES); NaN where there is none."""
    flat = np.full((len(episodes), EPISODE_FIGURES), np.nan)
    for figures, episode in zip(flat, episodes, strict=True):
        if episode is None:
            continue
        figures[:2] = episode.start_us, episode.end_us
        for kind, worst in episode.worst.items():
            at = 2 + KIND_FIGURES * ANOMALY_KINDS.index(kind)
            evidence = [getattr(worst, name) for name in EVIDENCE_FIGURES]
            figures[at : at + KIND_FIGURES] = (*evidence, episode.hours[kind])
    return flat


def _read_episode(figures: Floats) -> Episode | None:
    """Return the episode that is stored as (EPISODE_FIGURES,); None if its start is NaN."""
    if not np.isfinite(figures[0]):
        return None
    worst, hours = {}, {}
    by_kind = figures[2:].reshape(len(ANOMALY_KINDS), KIND_FIGURES).tolist()
    for kind, (*evidence, lasted) in zip(ANOMALY_KINDS, by_kind, strict=True):
        if np.isfinite(evidence[0]):
            worst[kind], hours[kind] = Evidence(*evidence), lasted
    return Episode(float(figures[0]), float(figures[1]), worst, hours)
