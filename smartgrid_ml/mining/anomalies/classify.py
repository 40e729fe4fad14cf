"""From scores to anomalies: which stretches of a day are strange, of what kind, how grave."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from smartgrid_ml.mining.anomalies.episodes import Stretch, gather_episodes, has, kind_of, runs
from smartgrid_ml.mining.anomalies.evidence import (
    HOUR_US,
    JudgedDay,
    build_limit_evidence,
    build_shift_evidence,
    build_value_evidence,
    count_lag_steps,
)
from smartgrid_ml.mining.anomalies.expected_range import Bools, Floats, Ints
from smartgrid_ml.mining.anomalies.score_day import (
    HABIT_SHARE,
    REST_HOURS,
    DayScores,
    DetectorSetup,
)
from smartgrid_ml.mining.anomalies.state import (
    DAY_SHIFT,
    DETECTORS,
    DRIFT,
    FLAT,
    POINT,
    SHIFT,
    SILENT,
    DetectorState,
)

STAYS = 0.6
"""An anomaly goes on while the score is at least this share of the threshold."""

SPIKE_HOURS = 2.0
SPIKE_STEPS = 2
"""What is over so soon is a spike; what stays has shifted."""

FLAT_STEPS = 6
FLAT_DAYS_KNOWN = 2
MISSING_STEPS = 2
LONGEST_SILENCE_DAYS = 7
"""A series that is silent for longer is gone."""

GAP_HOURS = 3.0
"""Stretches that lie closer together are one anomaly."""

ACCEPTED_DAYS = {"level_shift": 7, "phase_imbalance": 14, "drift": 21}
"""What has lasted for so long is the new normal."""

RAMP_DAYS = 6
STEP_SHARE = 0.66
RISEN_SHARE = 0.5
"""A shift is a drift if it rose by at least half of itself within the last days, and no two days
together (a step at noon takes two) brought most of that."""

RARE_SCORE = 1.5
"""A drift shows on days that are not ordinary by themselves, though they come once a month."""

LASTING_HOURS = 24.0


@dataclass(slots=True)
class DayAnomalies:
    """A day's anomalies.

    mask: (n_rows, per_day), what is strange; persistent: of that, what teaches no profile. begins:
    (n_rows, detectors), what is new today. spells: (judged, SPELL_FIGURES), what stays open.
    touched: the spells of which the day has something to say.
    """

    mask: Bools
    persistent: Bools
    begins: Bools
    spells: Floats
    touched: list[tuple[int, Floats]]

    def mark(self, rows: list[int], first: int, last: int, *, lasting: bool) -> None:
        """Steps [first, last) of these rows belong to an anomaly."""
        self.mask[rows, max(first, 0) : last] = True
        if lasting:
            self.persistent[rows, max(first, 0) : last] = True


def classify_day(
    memory: DetectorState,
    verdict: DayScores,
    setup: DetectorSetup,
    phase_rows: Ints,
    *,
    start_us: float,
    until: int,
) -> DayAnomalies:
    """Everything that is strange on a day whose first `until` steps have come."""
    rows, per_day = verdict.values.shape
    day = JudgedDay(memory, verdict, setup, start_us, until)
    strange = DayAnomalies(
        mask=np.zeros((rows, per_day), dtype=bool),
        persistent=np.zeros((rows, per_day), dtype=bool),
        begins=np.zeros((rows, DETECTORS), dtype=bool),
        spells=memory.spell[: setup.judged].copy(),
        touched=[],
    )
    gap_us = max(GAP_HOURS * HOUR_US, 2 * day.step_us)
    suspects = _find_suspects(day)
    uneven = dict(_find_uneven_phases(day, phase_rows))
    told = {int(one) for phases in setup.phases if uneven.keys() & set(phases) for one in phases}
    for row in sorted({*np.flatnonzero(suspects).tolist(), *uneven}):
        stretches: list[Stretch] = []
        detectors: list[tuple[int, int]] = []
        for detector, first, last, stretch in _find_stretches(day, row, alone=row not in told):
            strange.mark([row], first, last, lasting=_is_lasting(day, row, stretch))
            stretches.append(stretch)
            detectors.append((row, detector))
        if row in uneven:
            beside, members = uneven[row]
            for detector, first, last, stretch in _find_imbalance(day, row, beside):
                strange.mark([row, *members], first, last, lasting=True)
                stretches.append(stretch)
                detectors.append((beside, detector))
        spells, strange.spells[row] = gather_episodes(strange.spells[row], stretches, gap_us=gap_us)
        strange.touched.extend((row, spell) for spell in spells)
        if spells and any(spell[0] != memory.spell[row, 0] for spell in spells):
            for where, detector in detectors:
                strange.begins[where, detector] = True
    return strange


def close_episodes(
    after: DetectorState,
    verdict: DayScores,
    setup: DetectorSetup,
    phase_rows: Ints,
    *,
    now_us: float,
) -> None:
    """Close the spells that are over, and take for normal what has lasted; changes `after`."""
    gap_us = max(GAP_HOURS * HOUR_US, 2 * setup.minutes * 60e6)
    beside = {int(row): setup.judged + place for place, row in enumerate(phase_rows)}
    bound = verdict.bounds[:, DRIFT]
    over = verdict.cusum.max(axis=1) >= bound
    back = np.abs(np.nan_to_num(verdict.drift)) < np.fmax(_measure_daily_spread(after), 0.1)
    after.cusum[over & back] = 0.0
    after.cusum[:] = np.minimum(after.cusum, 1.2 * bound[:, None])
    for row in np.flatnonzero(np.isfinite(after.spell[: setup.judged, 0])):
        spell = after.spell[row]
        kind = kind_of(spell)
        days = (spell[1] - spell[0]) / (24 * HOUR_US)
        if days >= ACCEPTED_DAYS.get(kind, np.inf):
            rows = [int(row)]
            if kind == "phase_imbalance":
                members = next(set_ for set_ in setup.phases if row in set_)
                rows = [beside[int(member)] for member in members]
            _accept_level(after, verdict, rows)
            after.spell[row] = np.nan
        elif now_us - spell[1] > gap_us + count_lag_steps(setup, DAY_SHIFT) * setup.minutes * 60e6:
            after.spell[row] = np.nan


def _measure_daily_spread(memory: DetectorState) -> Floats:
    known = np.isfinite(memory.daily)
    spread = np.where(known, np.abs(memory.daily), 0.0).sum(axis=1)
    return np.asarray(spread / np.maximum(known.sum(axis=1), 1))


def _accept_level(after: DetectorState, verdict: DayScores, rows: list[int]) -> None:
    """Move the remembered profile to where the day lay."""
    for row in rows:
        away = verdict.values[row] - verdict.centre[row]
        away = away[np.isfinite(away)]
        if away.size:
            after.history[row] += float(np.median(away))
        after.tail[row], after.cusum[row] = np.nan, 0.0


def _find_suspects(day: JudgedDay) -> Bools:
    """Which judged series need a closer look."""
    setup, verdict = day.setup, day.verdict
    judged = slice(0, setup.judged)
    top = verdict.scores[judged, :, : day.until].max(axis=(1, 2), initial=0.0)
    outside = verdict.is_outside[judged, : day.until].any(axis=1)
    is_open = np.isfinite(day.memory.spell[judged, 0])
    return np.asarray((top >= setup.threshold) | outside | is_open)


def _find_stretches(
    day: JudgedDay, row: int, *, alone: bool
) -> Iterator[tuple[int, int, int, Stretch]]:
    """Detector, first step, step behind the last, and the stretch, of one series.

    A series that is not ``alone`` is a phase of a place whose imbalance tells of its deviations.
    """
    verdict, setup, until = day.verdict, day.setup, day.until
    if verdict.ready[row] and alone:
        found = list(_find_deviations(day, row, row, drifts=True))
        yield from found
        shifts = any(stretch.kind == "level_shift" for *_, stretch in found)
        shifts = shifts or has(day.memory.spell[row], "level_shift")
        if not shifts and _is_drifting(day, row):
            reach = float(verdict.bounds[row, DAY_SHIFT])
            yield (
                DRIFT,
                0,
                until,
                build_shift_evidence(day, row, "drift", until - 1, (0, until), DRIFT, reach),
            )
    scores = verdict.scores[row]
    still, silent = verdict.still[row, :until], verdict.silent[row, :until]
    hours = setup.minutes / 60
    days_known = int(np.isfinite(day.memory.history[row]).any(axis=1).sum())
    if days_known >= FLAT_DAYS_KNOWN and day.memory.run[row, 3] <= HABIT_SHARE:
        flat = (still * hours >= REST_HOURS) & (still >= FLAT_STEPS)
        flat &= scores[FLAT, :until] >= setup.threshold
        for first, last in runs(flat, flat):
            begin = first - int(still[first]) + 1
            yield (
                FLAT,
                begin,
                last,
                build_value_evidence(day, row, "flatline", last - 1, (begin, last), FLAT),
            )
    missing = (silent >= MISSING_STEPS) & (scores[SILENT, :until] >= setup.threshold)
    missing &= silent * hours <= LONGEST_SILENCE_DAYS * 24
    for first, last in runs(missing, missing):
        begin = first - int(silent[first]) + 1
        yield (
            SILENT,
            begin,
            last,
            build_value_evidence(day, row, "missing", last - 1, (begin, last), SILENT),
        )
    outside = verdict.is_outside[row, :until]
    for first, last in runs(outside, outside):
        yield POINT, first, last, build_limit_evidence(day, row, first, last)


def _find_deviations(
    day: JudgedDay, row: int, spell_row: int, *, drifts: bool
) -> Iterator[tuple[int, int, int, Stretch]]:
    """Values, hours and days away from the range."""
    verdict, threshold = day.verdict, day.setup.threshold
    measures = ((POINT, verdict.moves), (SHIFT, verdict.shift), (DAY_SHIFT, verdict.day_shift))
    continues = np.isfinite(day.memory.spell[spell_row, 0])
    for detector, measure in measures:
        score = verdict.scores[row, detector, : day.until]
        strange, clear = score >= STAYS * threshold, score >= threshold
        if continues and strange.size and strange[0] and detector != POINT:
            clear[0] = True
        late = count_lag_steps(day.setup, detector)
        for first, last in runs(strange, clear):
            worst = first + int(np.argmax(score[first:last]))
            is_long = (last - first) * day.setup.minutes / 60 > SPIKE_HOURS
            is_spike = detector == POINT and not (is_long and last - first > SPIKE_STEPS)
            of_day = abs(verdict.drift[row]) >= RISEN_SHARE * abs(measure[row, worst])
            gradual = drifts and of_day and _is_gradual(day, row)
            kind = "spike" if is_spike else ("drift" if gradual else "level_shift")
            span = (first - late, last - late)
            if detector == POINT:
                stretch = build_value_evidence(day, row, kind, worst, span, POINT)
            else:
                reach = float(verdict.bounds[row, detector])
                stretch = build_shift_evidence(
                    day, row, kind, worst, span, detector, reach, of=float(measure[row, worst])
                )
            yield detector, first - late, last, stretch


def _is_drifting(day: JudgedDay, row: int) -> bool:
    """Whether small deviations of one sign have added up, and today's still is one that matters."""
    verdict, setup = day.verdict, day.setup
    if verdict.scores[row, DRIFT, 0] < setup.threshold:
        return False
    sums = verdict.cusum[row]
    same_way = verdict.drift[row] * (1 if sums[0] >= sums[1] else -1) > 0
    rare = verdict.scores[row, DAY_SHIFT, : day.until].max(initial=0.0) >= RARE_SCORE
    return bool(same_way and rare)


def _is_lasting(day: JudgedDay, row: int, stretch: Stretch) -> bool:
    """Whether a stretch would spoil a median: what comes and goes is for the habits to know."""
    since = day.memory.spell[row, 0]
    age_hours = (stretch.end - since) / HOUR_US if np.isfinite(since) else 0.0
    return stretch.kind in {"flatline", "drift"} or age_hours >= LASTING_HOURS


def _is_gradual(day: JudgedDay, row: int) -> bool:
    """Whether the deviation has grown over days; a shift grows once."""
    if has(day.memory.spell[row], "drift"):
        return True
    lately = np.array([*day.memory.daily[row, -RAMP_DAYS:], day.verdict.drift[row]])
    lately = lately[np.isfinite(lately)]
    if lately.size < RAMP_DAYS // 2:
        return False
    lately = lately * np.sign(lately[-1])
    rise = lately.max() - lately.min()
    two_days = lately[2:] - lately[:-2]
    is_step = two_days.max(initial=0.0) >= STEP_SHARE * rise
    return bool(not is_step and rise >= RISEN_SHARE * lately[-1] > 0)


def _find_uneven_phases(
    day: JudgedDay, phase_rows: Ints
) -> Iterator[tuple[int, tuple[int, list[int]]]]:
    """Per phase set that is strange: the phase that is so most, its row, and the set's rows."""
    verdict, setup = day.verdict, day.setup
    place = 0
    for members in setup.phases:
        rows = list(range(setup.judged + place, setup.judged + place + len(members)))
        place += len(members)
        if not verdict.ready[rows].all():
            continue
        top = verdict.scores[rows, :DRIFT, : day.until].max(axis=(1, 2), initial=0.0)
        is_open = [has(day.memory.spell[member], "phase_imbalance") for member in members]
        if top.max() < setup.threshold and not any(is_open):
            continue
        chosen = is_open.index(True) if any(is_open) else int(np.argmax(top))
        yield int(members[chosen]), (rows[chosen], rows)


def _find_imbalance(
    day: JudgedDay, row: int, beside: int
) -> Iterator[tuple[int, int, int, Stretch]]:
    """What is strange about a phase's distance from the mean of its phases, in the phase's unit."""
    for detector, first, last, stretch in _find_deviations(day, beside, row, drifts=False):
        at = int((stretch.time - day.start_us) / day.step_us)
        value, off = float(day.verdict.values[row, at]), float(day.verdict.values[beside, at])
        mean = value / (1 + off / 100) if off > -100 else np.nan
        yield (
            detector,
            first,
            last,
            Stretch(
                kind="phase_imbalance",
                start=stretch.start,
                end=stretch.end,
                score=stretch.score,
                time=stretch.time,
                value=mean * (1 + stretch.value / 100),
                lower=mean * (1 + stretch.lower / 100),
                upper=mean * (1 + stretch.upper / 100),
                aside=stretch.value,
            ),
        )
