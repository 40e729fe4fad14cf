"""A stretch with what speaks for it: the worst value, its range, and when."""

from dataclasses import dataclass

import numpy as np

from smartgrid_ml.mining.anomalies.episodes import Evidence, Stretch
from smartgrid_ml.mining.anomalies.scoring.day_scores import DayScores
from smartgrid_ml.mining.anomalies.settings import DetectorSettings, DetectorSetup
from smartgrid_ml.mining.anomalies.state import DAY_SHIFT, POINT, SHIFT, DetectorState


@dataclass(frozen=True, slots=True)
class JudgedDay:
    """A scored UTC day and what it was scored by.

    Attributes:
        state: What was known after the day before.
        scores: The day's scores.
        setup: Settings and rows.
        start_us: The day's first instant, microseconds since 1970-01-01T00:00Z.
        until: How many steps of the day have come.
    """

    state: DetectorState
    scores: DayScores
    setup: DetectorSetup
    start_us: float
    until: int

    def get_instant(self, step: float) -> float:
        """Return the instant of a step of the day, µs; steps before the day are negative."""
        return self.start_us + step * self.setup.settings.step_us

    def clip_lower(self, row: int, lower: float) -> float:
        """Return the lower edge of a range, no lower than the limit: load is not below nothing."""
        return max(float(lower), float(self.setup.limits.low[row]))

    def clip_upper(self, row: int, upper: float) -> float:
        """Return the upper edge of a range, no higher than the limit."""
        return min(float(upper), float(self.setup.limits.high[row]))


@dataclass(frozen=True, slots=True)
class Finding:
    """Steps [first, last) of the day that one detector found strange in one row.

    Attributes:
        detector: Its place in arrays.
        kind: One of ANOMALY_KINDS.
        first: The first strange step; negative if it lies before the day.
        last: The step behind the last one at which the detector still was beyond its bound. A
            rolling median comes late: the strange stretch has ended that much earlier.
        worst: The step at which the detector was furthest beyond it.
    """

    detector: int
    kind: str
    first: int
    last: int
    worst: int


def count_lag_steps(settings: DetectorSettings, detector: int) -> int:
    """Return how many steps the detector's rolling median comes late; 0 for the others."""
    slots = {SHIFT: settings.short, DAY_SHIFT: settings.long}.get(detector, 0)
    return slots * settings.per_slot // 2


def build_value_evidence(day: JudgedDay, row: int, finding: Finding) -> Stretch:
    """Return the stretch of a finding whose evidence is one value against its range."""
    scores, worst = day.scores, finding.worst
    lower = upper = np.nan
    if scores.is_ready[row]:
        expected, reach = scores.expected, float(scores.bounds[row, POINT])
        centre = float(expected.centre[row, worst])
        lower = day.clip_lower(row, centre - reach * expected.below[row, worst])
        upper = day.clip_upper(row, centre + reach * expected.above[row, worst])
    return Stretch(
        kind=finding.kind,
        start_us=day.get_instant(finding.first),
        end_us=day.get_instant(finding.last),
        worst=Evidence(
            score=float(scores.scores[row, finding.detector, worst]),
            time_us=day.get_instant(worst),
            value=float(scores.values[row, worst]),
            lower=lower,
            upper=upper,
        ),
    )


def build_shift_evidence(
    day: JudgedDay, row: int, finding: Finding, *, away: float, reach: float
) -> Stretch:
    """Return the stretch of a finding whose evidence is where values lie over hours or a day.

    Args:
        day: The scored day.
        row: The row that is strange.
        finding: What the detector found.
        away: Where the values lie, in spreads from the centre.
        reach: Half the width of the range, in spreads.

    Returns:
        The stretch; its worst moment is the middle of the rolling median's window.
    """
    scores = day.scores
    lag = count_lag_steps(day.setup.settings, finding.detector)
    at = max(finding.worst - lag, 0)
    expected = scores.expected
    centre, below, above = (
        float(part[row, at]) for part in (expected.centre, expected.below, expected.above)
    )
    return Stretch(
        kind=finding.kind,
        start_us=day.get_instant(finding.first),
        end_us=day.get_instant(finding.last - lag),
        worst=Evidence(
            score=float(scores.scores[row, finding.detector, finding.worst]),
            time_us=day.get_instant(at),
            value=centre + away * (above if away >= 0 else below),
            lower=day.clip_lower(row, centre - reach * below),
            upper=day.clip_upper(row, centre + reach * above),
        ),
    )


def build_limit_evidence(day: JudgedDay, row: int, finding: Finding) -> Stretch:
    """Return the stretch of a finding whose evidence is a mean beyond its limit.

    It scores the threshold at least.
    """
    scores, limits = day.scores, day.setup.limits
    low, high = float(limits.low[row]), float(limits.high[row])
    score = float(scores.scores[row, POINT, finding.worst]) if scores.is_ready[row] else 0.0
    return Stretch(
        kind=finding.kind,
        start_us=day.get_instant(finding.first),
        end_us=day.get_instant(finding.last),
        worst=Evidence(
            score=max(day.setup.settings.threshold, score),
            time_us=day.get_instant(finding.worst),
            value=float(scores.mean_in_span[row, finding.worst]),
            lower=low if np.isfinite(low) else np.nan,
            upper=high if np.isfinite(high) else np.nan,
        ),
    )
