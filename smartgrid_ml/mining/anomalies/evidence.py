"""A stretch with what speaks for it: the worst value, its range, and when."""

from dataclasses import dataclass

import numpy as np

from smartgrid_ml.mining.anomalies.episodes import Stretch
from smartgrid_ml.mining.anomalies.score_day import DayScores, DetectorSetup
from smartgrid_ml.mining.anomalies.state import DAY_SHIFT, POINT, SHIFT, DetectorState

HOUR_US = 3.6e9
"""Microseconds."""


@dataclass(frozen=True, slots=True)
class JudgedDay:
    """A judged UTC day; begins at `start_us`, µs since 1970; `until` steps of it have come."""

    memory: DetectorState
    verdict: DayScores
    setup: DetectorSetup
    start_us: float
    until: int

    @property
    def step_us(self) -> float:
        """The length of a step, µs."""
        return self.setup.minutes * 60e6

    def at(self, step: float) -> float:
        """The instant of a step of the day, µs; steps before the day are negative."""
        return self.start_us + step * self.step_us

    def at_least(self, row: int, lower: float) -> float:
        """The lower edge of a range, no lower than the limit: less than nothing is not expected."""
        return max(float(lower), float(self.setup.low[row]))

    def at_most(self, row: int, upper: float) -> float:
        """The upper edge of a range, no higher than the limit."""
        return min(float(upper), float(self.setup.high[row]))


def count_lag_steps(setup: DetectorSetup, detector: int) -> int:
    """How many steps a rolling median comes late."""
    slots = {SHIFT: setup.short, DAY_SHIFT: setup.long}.get(detector, 0)
    return slots * setup.per_slot // 2


def build_value_evidence(
    day: JudgedDay, row: int, kind: str, worst: int, span: tuple[int, int], detector: int
) -> Stretch:
    """A stretch whose evidence is one value against its range."""
    verdict = day.verdict
    reach = float(verdict.bounds[row, POINT])
    known = verdict.ready[row]
    centre = float(verdict.centre[row, worst])
    return Stretch(
        kind=kind,
        start=day.at(span[0]),
        end=day.at(span[1]),
        score=float(verdict.scores[row, detector, worst]),
        time=day.at(worst),
        value=float(verdict.values[row, worst]),
        lower=day.at_least(row, centre - reach * verdict.below[row, worst]) if known else np.nan,
        upper=day.at_most(row, centre + reach * verdict.above[row, worst]) if known else np.nan,
    )


def build_shift_evidence(
    day: JudgedDay,
    row: int,
    kind: str,
    worst: int,
    span: tuple[int, int],
    detector: int,
    reach: float,
    *,
    of: float | None = None,
) -> Stretch:
    """A stretch whose evidence is where the values lie in the middle of hours or of a day."""
    verdict = day.verdict
    at = max(worst - count_lag_steps(day.setup, detector), 0)
    away = float(verdict.drift[row]) if of is None else of
    centre, below, above = (
        float(part[row, at]) for part in (verdict.centre, verdict.below, verdict.above)
    )
    return Stretch(
        kind=kind,
        start=day.at(span[0]),
        end=day.at(span[1]),
        score=float(verdict.scores[row, detector, worst]),
        time=day.at(at),
        value=centre + away * (above if away >= 0 else below),
        lower=day.at_least(row, centre - reach * below),
        upper=day.at_most(row, centre + reach * above),
    )


def build_limit_evidence(day: JudgedDay, row: int, first: int, last: int) -> Stretch:
    """A stretch, steps [first, last), whose evidence is the mean furthest beyond its limit."""
    verdict, setup = day.verdict, day.setup
    low, high = float(setup.low[row]), float(setup.high[row])
    mean = verdict.mean_in_span[row, first:last]
    worst = int(np.argmax(np.fmax(mean - high, low - mean)))
    score = float(verdict.scores[row, POINT, first + worst]) if verdict.ready[row] else 0.0
    return Stretch(
        kind="out_of_band",
        start=day.at(first),
        end=day.at(last),
        score=max(setup.threshold, score),
        time=day.at(first + worst),
        value=float(mean[worst]),
        lower=low if np.isfinite(low) else np.nan,
        upper=high if np.isfinite(high) else np.nan,
    )
