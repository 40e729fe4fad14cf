"""From scores to anomalies: which stretches of a day are strange, of what kind, how grave."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from smartgrid_core.runs import find_true_runs
from smartgrid_ml.mining.anomalies.episodes import (
    HOUR_US,
    Episode,
    Evidence,
    Stretch,
    gather_episodes,
)
from smartgrid_ml.mining.anomalies.evidence import (
    Finding,
    JudgedDay,
    build_limit_evidence,
    build_shift_evidence,
    build_value_evidence,
    count_lag_steps,
)
from smartgrid_ml.mining.anomalies.nan_arrays import Bools, Floats
from smartgrid_ml.mining.anomalies.scoring.score_day import HABIT_SHARE, REST_HOURS
from smartgrid_ml.mining.anomalies.state import (
    DAY_SHIFT,
    DETECTORS,
    DRIFT,
    FLAT,
    POINT,
    SHIFT,
    SILENT,
)

STAYS = 0.6
"""An anomaly goes on while the score is at least this share of the threshold."""

SPIKE_HOURS = 2.0
SPIKE_STEPS = 2
"""What is over so soon is a spike; what stays has shifted."""

FLAT_STEPS = 6
FLAT_DAYS_KNOWN = 2
"""A standstill has so many steps at least, after so many days of a series."""

MISSING_STEPS = 2
LONGEST_SILENCE_DAYS = 7
"""A series that is silent for longer is gone."""

RAMP_DAYS = 6
STEP_SHARE = 0.66
RISEN_SHARE = 0.5
"""A shift is a drift if it rose by at least half of itself within the last days, and no two days
together (a step at noon takes two) brought most of that."""

RARE_SCORE = 1.5
"""A drift shows on days that are not ordinary by themselves, though they come once a month."""

LASTING_HOURS = 24.0
"""What is strange for longer would spoil the profile's medians."""


@dataclass(slots=True)
class DayAnomalies:
    """A day's anomalies.

    Attributes:
        is_strange: bool (n_rows, per_day), what belongs to an anomaly and is no measure of what is
            usual.
        is_lasting: bool (n_rows, per_day), of that, what is no part of the profile either.
        begins: bool (n_rows, DETECTORS), which detectors found a new anomaly.
        open_episodes: Of each judged series, the episode that the next day may continue.
        touched: Row and episode of every anomaly of which the day has a stretch.
    """

    is_strange: Bools
    is_lasting: Bools
    begins: Bools
    open_episodes: list[Episode | None]
    touched: list[tuple[int, Episode]]

    def mark(self, rows: Sequence[int], finding: Finding, *, lasting: bool) -> None:
        """Mark the steps of a finding in these rows, as far as they are of the day."""
        steps = slice(max(finding.first, 0), finding.last)
        self.is_strange[rows, steps] = True
        if lasting:
            self.is_lasting[rows, steps] = True


@dataclass(frozen=True, slots=True)
class UnevenPlace:
    """A place whose phases are strangely uneven.

    Attributes:
        members: Rows of its phases.
        imbalances: Rows of their imbalances, in the same order.
        worst: Place, among these, of the phase whose anomaly it is.
    """

    members: list[int]
    imbalances: list[int]
    worst: int


def classify_day(day: JudgedDay) -> DayAnomalies:
    """Return everything that is strange on a day, as far as it has come."""
    shape = day.scores.values.shape
    anomalies = DayAnomalies(
        is_strange=np.zeros(shape, dtype=bool),
        is_lasting=np.zeros(shape, dtype=bool),
        begins=np.zeros((shape[0], DETECTORS), dtype=bool),
        open_episodes=day.state.episodes[: day.setup.judged],
        touched=[],
    )
    uneven = {place.members[place.worst]: place for place in _find_uneven_places(day)}
    uneven_rows = {row for place in uneven.values() for row in place.members}
    for row in sorted({*np.flatnonzero(_find_suspects(day)).tolist(), *uneven}):
        stretches: list[Stretch] = []
        detectors: list[tuple[int, int]] = []
        for finding, stretch in _find_stretches(day, row, is_alone=row not in uneven_rows):
            anomalies.mark([row], finding, lasting=_is_lasting(day, row, stretch))
            stretches.append(stretch)
            detectors.append((row, finding.detector))
        if row in uneven:
            place = uneven[row]
            imbalance = place.imbalances[place.worst]
            for finding, stretch in _find_imbalance(day, row, imbalance):
                anomalies.mark([row, *place.imbalances], finding, lasting=True)
                stretches.append(stretch)
                detectors.append((imbalance, finding.detector))
        _gather(day, row, stretches, detectors, anomalies)
    return anomalies


def _gather(
    day: JudgedDay,
    row: int,
    stretches: Sequence[Stretch],
    detectors: Sequence[tuple[int, int]],
    anomalies: DayAnomalies,
) -> None:
    """Add the episodes that a series' stretches make to the day's anomalies.

    Args:
        day: The scored day.
        row: Row of the series.
        stretches: What is strange about the series today.
        detectors: Row and detector of each stretch.
        anomalies: Changed: open episode, touched episodes and what begins.
    """
    before = day.state.episodes[row]
    episodes, anomalies.open_episodes[row] = gather_episodes(
        before, stretches, gap_us=day.setup.settings.gap_us
    )
    anomalies.touched.extend((row, episode) for episode in episodes)
    if any(before is None or each.start_us != before.start_us for each in episodes):
        for where, detector in detectors:
            anomalies.begins[where, detector] = True


def _find_suspects(day: JudgedDay) -> Bools:
    """Return which judged series need a closer look, (n_judged,)."""
    scores, judged = day.scores, slice(0, day.setup.judged)
    top = scores.scores[judged, :, : day.until].max(axis=(1, 2), initial=0.0)
    is_outside = scores.is_outside[judged, : day.until].any(axis=1)
    is_open = np.array([episode is not None for episode in day.state.episodes[judged]], dtype=bool)
    return np.asarray((top >= day.setup.settings.threshold) | is_outside | is_open)


def _find_stretches(
    day: JudgedDay, row: int, *, is_alone: bool
) -> Iterator[tuple[Finding, Stretch]]:
    """Yield what every detector finds in one series, with its evidence.

    A series that is not ``is_alone`` is a phase of an uneven place: the imbalance stands for its
    deviations.
    """
    if day.scores.is_ready[row] and is_alone:
        deviations = list(_find_deviations(day, row, row, can_drift=True))
        yield from deviations
        is_shifted = any(stretch.kind == "level_shift" for _, stretch in deviations)
        is_shifted = is_shifted or _has_kind(day.state.episodes[row], "level_shift")
        if not is_shifted and _is_drifting(day, row):
            finding = Finding(DRIFT, "drift", 0, day.until, day.until - 1)
            yield (
                finding,
                build_shift_evidence(
                    day,
                    row,
                    finding,
                    away=float(day.scores.deviations.of_day[row]),
                    reach=float(day.scores.bounds[row, DAY_SHIFT]),
                ),
            )
    for finding in (*_find_standstills(day, row), *_find_silences(day, row)):
        yield finding, build_value_evidence(day, row, finding)
    for finding in _find_breaches(day, row):
        yield finding, build_limit_evidence(day, row, finding)


def _find_deviations(
    day: JudgedDay, row: int, series: int, *, can_drift: bool
) -> Iterator[tuple[Finding, Stretch]]:
    """Yield the values, hours and days that are away from the range, with their evidence.

    Args:
        day: The scored day.
        row: The row whose scores count: a judged series or the imbalance of a phase.
        series: Row of the judged series whose open episode they may continue.
        can_drift: Whether what has grown over days is a drift instead of a shift.

    Yields:
        Finding and stretch, by detector and time.
    """
    scores, settings = day.scores, day.setup.settings
    measures = (
        (POINT, scores.deviations.by_step),
        (SHIFT, scores.deviations.over_hours),
        (DAY_SHIFT, scores.deviations.over_day),
    )
    continues = day.state.episodes[series] is not None
    for detector, measure in measures:
        score = scores.scores[row, detector, : day.until]
        goes_on, is_clear = score >= STAYS * settings.threshold, score >= settings.threshold
        if continues and goes_on.size and goes_on[0] and detector != POINT:
            is_clear[0] = True
        lag = count_lag_steps(settings, detector)
        for first, last in find_true_runs(goes_on):
            if not is_clear[first:last].any():
                continue
            worst = first + int(np.argmax(score[first:last]))
            away = float(measure[row, worst])
            if detector == POINT and not _outlasts_spike(day, first, last):
                kind = "spike"
            else:
                kind = "drift" if can_drift and _has_grown(day, row, away) else "level_shift"
            finding = Finding(detector, kind, first - lag, last, worst)
            if detector == POINT:
                yield finding, build_value_evidence(day, row, finding)
            else:
                reach = float(scores.bounds[row, detector])
                yield finding, build_shift_evidence(day, row, finding, away=away, reach=reach)


def _outlasts_spike(day: JudgedDay, first: int, last: int) -> bool:
    """Whether steps [first, last) are too many for a spike."""
    hours = (last - first) * day.setup.settings.minutes / 60
    return hours > SPIKE_HOURS and last - first > SPIKE_STEPS


def _has_grown(day: JudgedDay, row: int, away: float) -> bool:
    """Whether a deviation of `away` spreads is the whole day's and has grown over days."""
    is_of_day = abs(day.scores.deviations.of_day[row]) >= RISEN_SHARE * abs(away)
    return bool(is_of_day and _is_gradual(day, row))


def _find_standstills(day: JudgedDay, row: int) -> Iterator[Finding]:
    """Yield the runs of one value that are too long for the series."""
    settings, scores = day.setup.settings, day.scores
    days_known = int(np.isfinite(day.state.history[row]).any(axis=1).sum())
    if days_known < FLAT_DAYS_KNOWN or day.state.rest_share[row] > HABIT_SHARE:
        return
    still = scores.still[row, : day.until]
    is_flat = (still * (settings.minutes / 60) >= REST_HOURS) & (still >= FLAT_STEPS)
    is_flat &= scores.scores[row, FLAT, : day.until] >= settings.threshold
    yield from _find_counted(FLAT, "flatline", is_flat, still)


def _find_silences(day: JudgedDay, row: int) -> Iterator[Finding]:
    """Yield the gaps that are too long for the series, until it counts as gone."""
    settings, scores = day.setup.settings, day.scores
    silent = scores.silent[row, : day.until]
    is_missing = silent >= MISSING_STEPS
    is_missing &= scores.scores[row, SILENT, : day.until] >= settings.threshold
    is_missing &= silent * (settings.minutes / 60) <= LONGEST_SILENCE_DAYS * 24
    yield from _find_counted(SILENT, "missing", is_missing, silent)


def _find_counted(
    detector: int, kind: str, is_strange: Bools, counted: Floats
) -> Iterator[Finding]:
    """Yield runs of strange steps, begun with the first step that was counted.

    Args:
        detector: Place of the detector in arrays.
        kind: One of ANOMALY_KINDS.
        is_strange: bool (n_steps,), where the count is strangely high.
        counted: float64 (n_steps,), how many like steps end at each step.

    Yields:
        A finding per run; its worst step is its last.
    """
    for first, last in find_true_runs(is_strange):
        yield Finding(detector, kind, first - int(counted[first]) + 1, last, last - 1)


def _find_breaches(day: JudgedDay, row: int) -> Iterator[Finding]:
    """Yield the runs of steps outside the limits, the worst where the mean is furthest beyond."""
    limits = day.setup.limits
    for first, last in find_true_runs(day.scores.is_outside[row, : day.until]):
        mean = day.scores.mean_in_span[row, first:last]
        beyond = np.fmax(mean - limits.high[row], limits.low[row] - mean)
        yield Finding(POINT, "out_of_band", first, last, first + int(np.argmax(beyond)))


def _has_kind(episode: Episode | None, kind: str) -> bool:
    return episode is not None and kind in episode.worst


def _is_drifting(day: JudgedDay, row: int) -> bool:
    """Whether small deviations of one sign have added up, and today's still is one that matters."""
    scores = day.scores
    if scores.scores[row, DRIFT, 0] < day.setup.settings.threshold:
        return False
    up, down = scores.deviations.cusum[row]
    has_same_sign = scores.deviations.of_day[row] * (1 if up >= down else -1) > 0
    top = scores.scores[row, DAY_SHIFT, : day.until].max(initial=0.0)
    return bool(has_same_sign and top >= RARE_SCORE)


def _is_lasting(day: JudgedDay, row: int, stretch: Stretch) -> bool:
    """Whether a stretch would spoil a median: what comes and goes is for the habits to know."""
    before = day.state.episodes[row]
    age_hours = 0.0 if before is None else (stretch.end_us - before.start_us) / HOUR_US
    return stretch.kind in {"flatline", "drift"} or age_hours >= LASTING_HOURS


def _is_gradual(day: JudgedDay, row: int) -> bool:
    """Whether the deviation has grown over days; a shift grows once."""
    if _has_kind(day.state.episodes[row], "drift"):
        return True
    # the last days' median deviations, today's last, turned so that today's is positive
    days = np.array([*day.state.daily[row, -RAMP_DAYS:], day.scores.deviations.of_day[row]])
    days = days[np.isfinite(days)]
    if days.size < RAMP_DAYS // 2:
        return False
    days = days * np.sign(days[-1])
    rise = days.max() - days.min()
    is_step = (days[2:] - days[:-2]).max(initial=0.0) >= STEP_SHARE * rise
    return bool(not is_step and rise >= RISEN_SHARE * days[-1] > 0)


def _find_uneven_places(day: JudgedDay) -> Iterator[UnevenPlace]:
    """Yield the places whose phases are uneven enough, or still were when the day began."""
    scores, setup = day.scores, day.setup
    first = setup.judged
    for members in setup.phases:
        rows = list(range(first, first + len(members)))
        first += len(members)
        if not scores.is_ready[rows].all():
            continue
        top = scores.scores[rows, :DRIFT, : day.until].max(axis=(1, 2), initial=0.0)
        is_open = [_has_kind(day.state.episodes[member], "phase_imbalance") for member in members]
        if top.max() >= setup.settings.threshold or any(is_open):
            worst = is_open.index(True) if any(is_open) else int(np.argmax(top))
            yield UnevenPlace(members.tolist(), rows, worst)


def _find_imbalance(day: JudgedDay, row: int, imbalance: int) -> Iterator[tuple[Finding, Stretch]]:
    """Yield what is strange about a phase's distance from the mean of its phases.

    ``row`` is the phase, ``imbalance`` the row of its distance, %. The evidence is turned into the
    phase's unit.
    """
    values = day.scores.values
    for finding, stretch in _find_deviations(day, imbalance, row, can_drift=False):
        worst = stretch.worst
        at = int((worst.time_us - day.start_us) / day.setup.settings.step_us)
        value, away_pct = float(values[row, at]), float(values[imbalance, at])
        mean = value / (1 + away_pct / 100) if away_pct > -100 else np.nan
        yield (
            finding,
            Stretch(
                kind="phase_imbalance",
                start_us=stretch.start_us,
                end_us=stretch.end_us,
                worst=Evidence(
                    score=worst.score,
                    time_us=worst.time_us,
                    value=mean * (1 + worst.value / 100),
                    lower=mean * (1 + worst.lower / 100),
                    upper=mean * (1 + worst.upper / 100),
                    imbalance_pct=worst.value,
                ),
            ),
        )
