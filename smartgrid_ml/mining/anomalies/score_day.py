"""One day of many series, judged by what is remembered of the days before."""

from dataclasses import dataclass, field

import numpy as np

from smartgrid_ml.mining.anomalies import return_period as surprise
from smartgrid_ml.mining.anomalies.expected_range import (
    QUARTILE,
    Bools,
    Floats,
    Ints,
    build_profile,
    measure_common_movement,
)
from smartgrid_ml.mining.anomalies.nan_arrays import (
    LEAST_KNOWN_SHARE,
    compute_median,
    compute_rolling_median,
    count_run_lengths,
    find_largest,
)
from smartgrid_ml.mining.anomalies.state import (
    DETECTORS,
    DRIFT,
    FLAT,
    DetectorState,
)

FORGETTING = 0.5 ** (1 / 14)
"""What neighbours and weather do is learned anew within weeks: a season changes it."""

RIDGE = 5.0
"""Hours of proof that an influence needs before it is believed."""

WIDEST_MOVE = 4.0
"""Deviations beyond teach the influence of neighbours and weather no more than this."""

MOST_EXPLAINED = 30.0
MOST_CONTEXT = 4.0
SHIFT_HOURS = 6
CUSUM_SLACK = 0.5
"""Half of the smallest lasting deviation of a day that counts, in the days' own spreads (Page 1954;
Montgomery, Introduction to Statistical Quality Control, chapter 9)."""

PRIORS = (
    surprise.Prior(usual=3.5, reach=8, power=0.7),
    surprise.Prior(usual=1.5, reach=8, power=0.6),
    surprise.Prior(usual=1.0, reach=8, power=0.7),
    surprise.Prior(usual=3.0, reach=8, power=0.5),
    surprise.Prior(usual=3.0, reach=4, power=0.4),
    surprise.Prior(usual=0.3, reach=8, power=0.4),
)
"""By detector: spreads of a value, of hours, of a day, sums of daily spreads, steps of standstill
and of silence. With these powers scores of one in 30 to 300 days come about that often on the
demo's sensors and meters."""

SETTLED_DAYS = 9
"""Deviations from a profile of fewer days say more of the profile than of the series."""

REST_HOURS = 3.0
HABIT_SHARE = 0.005
"""A series that stands still for more of its time has a habit, as in `readings.judgements`."""


@dataclass(frozen=True, slots=True)
class DetectorSetup:
    """What stays the same from day to day. Rows: judged series, then imbalances, then context."""

    minutes: int
    per_day: int
    per_slot: int
    judged: int
    imbalances: int
    groups: list[Ints]
    phases: list[Ints]
    low: Floats
    high: Floats
    over_steps: Ints
    threshold: float
    warm_up_days: int
    habits: bool

    @property
    def slots(self) -> int:
        """Slots of a day: steps, or quarter-hours where steps are shorter."""
        return self.per_day // self.per_slot

    @property
    def short(self) -> int:
        """Slots of a shift that is found within hours."""
        return max(3, SHIFT_HOURS * self.slots // 24)

    @property
    def long(self) -> int:
        """Slots of a shift that is found within a day, or a week of daily values."""
        return max(self.slots, 7)


@dataclass(slots=True)
class DayScores:
    """What a day looks like to every detector; arrays (n, per_day), n judged series and imbalances.

    centre, below, above: the expected value and its spread. scores: (n, detectors, per_day).
    moves: residual in spreads; shift, day_shift: its medians over hours and a day. bounds: (n,
    detectors), where a detector's score reaches the threshold. drift: (n,), the day's deviation.
    still, silent: how many steps the value stands or is missing. excess: beyond the limits.
    """

    values: Floats
    centre: Floats
    below: Floats
    above: Floats
    moves: Floats
    shift: Floats
    day_shift: Floats
    drift: Floats
    still: Floats
    silent: Floats
    mean_in_span: Floats
    is_outside: Bools
    bounds: Floats
    scores: Floats
    ready: Bools
    settled: Bools
    cusum: Floats
    explained: Floats
    regressors: Floats
    total: Floats
    profile: Floats = field(default_factory=lambda: np.empty((0, 0)))


def score_day(
    memory: DetectorState,
    values: Floats,
    *,
    slots: Ints,
    types: Ints,
    past_types: Ints,
    setup: DetectorSetup,
) -> DayScores:
    """How strange every value of a day is; the memory is only read.

    ``values``: (n_rows, per_day), NaN for missing. ``slots``, ``types``: (n_slots,), the local slot
    of each stretch of the day and its kind of day; ``past_types``: (days, n_slots) by local slot.
    """
    k = setup.per_slot
    by_slot = np.zeros(setup.slots, dtype=np.int64)
    by_slot[slots] = types
    middle, below, above = build_profile(
        memory.history,
        past_types=past_types,
        types=by_slot,
        pool=1 if setup.slots >= 48 else 0,
    )
    middle, below, above = (np.repeat(part[:, slots], k, axis=1) for part in (middle, below, above))
    total = compute_median(memory.spread, axis=1) / QUARTILE
    total = np.fmax(
        np.where(np.isfinite(total), total, 0.0), compute_median((below + above) / 2, axis=1)
    )
    away = (values - middle) / total[:, None]
    regressors = _build_regressors(away, setup)
    theta = np.linalg.solve(
        memory.gram + RIDGE * np.eye(regressors.shape[1]), memory.moment[..., None]
    )[..., 0]
    explained = np.einsum("nk,nks->ns", theta, regressors)
    explained = np.clip(explained, -MOST_EXPLAINED, MOST_EXPLAINED) * total[:, None]
    centre = middle + explained
    residual = values - centre
    moves = residual / np.where(residual >= 0, above, below)
    per_slot = compute_median(moves.reshape(len(moves), -1, k), axis=2)
    recent = np.concatenate([memory.tail, per_slot], axis=1)
    shift = np.repeat(compute_rolling_median(recent, setup.short, last=setup.slots), k, axis=1)
    day_shift = np.repeat(compute_rolling_median(recent, setup.long, last=setup.slots), k, axis=1)
    drift, cusum = _update_cusum(memory, per_slot, setup)
    still, silent = _count_still_and_silent(memory, values)
    mean, is_outside = _check_limits(values, setup)
    strangeness = np.stack(
        [
            np.abs(moves),
            np.abs(shift),
            np.abs(day_shift),
            np.broadcast_to(cusum.max(axis=1)[:, None], moves.shape),
            still,
            silent,
        ],
        axis=1,
    )
    scores, bounds = np.empty_like(strangeness), np.empty((len(moves), DETECTORS))
    for detector in range(DETECTORS):
        prior = PRIORS[detector]
        location, scale = surprise.fit_daily_maxima(
            memory.extremes[:, detector], prior, habits=setup.habits
        )
        scores[:, detector] = surprise.score_strangeness(
            strangeness[:, detector], prior, location=location, scale=scale
        )
        bounds[:, detector] = surprise.find_bound(
            setup.threshold, prior, location=location, scale=scale
        )
    scores[memory.run[:, 3] > HABIT_SHARE, FLAT] = 0.0
    days_known = np.isfinite(memory.history).any(axis=2).sum(axis=1)
    return DayScores(
        values=values,
        centre=centre,
        below=below,
        above=above,
        moves=moves,
        shift=shift,
        day_shift=day_shift,
        drift=drift,
        still=still,
        silent=silent,
        mean_in_span=mean,
        is_outside=is_outside,
        bounds=bounds,
        scores=scores,
        ready=days_known >= setup.warm_up_days,
        settled=days_known >= min(SETTLED_DAYS, setup.warm_up_days),
        cusum=cusum,
        explained=explained,
        regressors=regressors,
        total=total,
        profile=middle,
    )


def measure_imbalance(values: Floats, history: Floats, phases: list[Ints]) -> Floats:
    """How far each phase is from its phases' mean, % of it, (sum of phases, per_day).

    Below half of the usual mean the percentage is of that half: little current is easily uneven.
    """
    rows = []
    for places in phases:
        of_place = values[places]
        mean = of_place.mean(axis=0)
        usual = compute_median(np.abs(history[places]).reshape(1, -1), axis=1)[0]
        usual = (
            usual if np.isfinite(usual) else float(compute_median(np.abs(mean)[None], axis=1)[0])
        )
        base = np.fmax(np.abs(mean), 0.5 * usual)
        with np.errstate(invalid="ignore", divide="ignore"):
            rows.append(np.where(base > 0, 100 * (of_place - mean) / base, np.nan))
    return np.concatenate(rows) if rows else np.empty((0, values.shape[1]))


def update_state(
    memory: DetectorState,
    verdict: DayScores,
    *,
    slots: Ints,
    is_strange: Bools,
    is_lasting: Bools,
    begins: Bools,
    setup: DetectorSetup,
) -> DetectorState:
    """The memory after the day.

    ``is_strange``: (n_rows, per_day), what belongs to an anomaly and is no measure of ordinary
    strangeness. ``is_lasting``: what is no part of the profile either. ``begins``: (n_rows,
    detectors), which detectors found a new anomaly today.
    """
    k = setup.per_slot
    sound = np.where(is_lasting, np.nan, verdict.values)
    adjusted = sound - np.where(np.isfinite(verdict.explained), verdict.explained, 0.0)
    today = np.full((len(sound), setup.slots), np.nan)
    today[:, slots] = compute_median(adjusted.reshape(len(sound), -1, k), axis=2)
    away = compute_median(np.abs(sound - verdict.profile), axis=1)
    gram, moment = _update_regression(memory, verdict, sound)
    return DetectorState(
        series=memory.series,
        history=np.concatenate([memory.history[:, 1:], today[:, None]], axis=1),
        spread=np.concatenate([memory.spread[:, 1:], away[:, None]], axis=1),
        gram=gram,
        moment=moment,
        extremes=_append_daily_maxima(memory, verdict, is_strange, begins),
        tail=np.concatenate(
            [memory.tail, compute_median(verdict.moves.reshape(len(sound), -1, k), axis=2)], axis=1
        )[:, -memory.tail.shape[1] :],
        daily=np.concatenate([memory.daily[:, 1:], verdict.drift[:, None]], axis=1),
        cusum=np.where(np.isfinite(verdict.cusum), verdict.cusum, memory.cusum),
        run=_update_runs(memory, verdict, is_strange, setup),
        spell=memory.spell.copy(),
    )


def _build_regressors(away: Floats, setup: DetectorSetup) -> Floats:
    """What may explain a deviation: the neighbours' and the weather's, (n_rows, k, per_day)."""
    judged, first_context = setup.judged, setup.judged + setup.imbalances
    weather = np.clip(away[first_context:], -MOST_CONTEXT, MOST_CONTEXT)
    rows = np.zeros((len(away), 1 + len(weather), away.shape[1]))
    rows[:judged, 0] = measure_common_movement(away[:judged], setup.groups)
    rows[:judged, 1:] = np.where(np.isfinite(weather), weather, 0.0)[None]
    return rows


def _update_regression(
    memory: DetectorState, verdict: DayScores, sound: Floats
) -> tuple[Floats, Floats]:
    """The regression's sums with the day in them, Huber's weights for what does not fit."""
    away = (sound - verdict.profile) / verdict.total[:, None]
    misfit = np.abs(sound - verdict.centre) / verdict.total[:, None]
    known = np.isfinite(away) & np.isfinite(misfit)
    weight = np.where(known, 1 / np.fmax(1.0, np.where(known, misfit, 0.0)), 0.0)
    target = np.where(known, away, 0.0)
    x = verdict.regressors
    gram = np.einsum("nks,nls,ns->nkl", x, x, weight)
    moment = np.einsum("nks,ns,ns->nk", x, target, weight)
    return FORGETTING * memory.gram + gram, FORGETTING * memory.moment + moment


def _append_daily_maxima(
    memory: DetectorState, verdict: DayScores, is_strange: Bools, begins: Bools
) -> Floats:
    """The daily maxima with today's; an anomaly counts as the bound on its first day, then not."""
    parts = (
        np.abs(verdict.moves),
        np.abs(verdict.shift),
        np.abs(verdict.day_shift),
        verdict.cusum.max(axis=1)[:, None],
        _mask_open_runs(verdict.still),
        _mask_open_runs(verdict.silent),
    )
    today = np.full((len(is_strange), DETECTORS), np.nan)
    for detector, part in enumerate(parts):
        all_day = np.repeat(is_strange.any(axis=1), part.shape[1]).reshape(part.shape)
        strange = all_day if detector == DRIFT else is_strange
        today[:, detector] = find_largest(np.where(strange, np.nan, part))
    today = np.minimum(today, verdict.bounds)
    today = np.where(begins, verdict.bounds, today)
    today[~verdict.settled, :FLAT] = np.nan
    return np.concatenate([memory.extremes[:, :, 1:], today[:, :, None]], axis=2)


def _mask_open_runs(steps: Floats) -> Floats:
    """Lengths of standstills or silences by step, NaN where the last one is not over at midnight.

    How long that is only the day knows in which it ends; until then it must not make itself usual.
    """
    last = steps.shape[1] - np.arange(steps.shape[1])
    is_open = steps[:, -1:] >= last
    return np.where(is_open & (steps > 1), np.nan, steps)


def _update_cusum(
    memory: DetectorState, per_slot: Floats, setup: DetectorSetup
) -> tuple[Floats, Floats]:
    """The day's median deviation and the two cumulated sums of it, in the days' own spreads."""
    known = np.isfinite(per_slot).sum(axis=1) >= LEAST_KNOWN_SHARE * setup.slots
    day = np.where(known, compute_median(per_slot, axis=1), np.nan)
    past = np.isfinite(memory.daily).sum(axis=1)
    spread = compute_median(np.abs(memory.daily), axis=1) / QUARTILE
    spread = np.where(past >= 5, np.fmax(spread, 0.1), 0.5)
    step = np.where(known, day, 0.0) / spread
    step = np.clip(step, -WIDEST_MOVE, WIDEST_MOVE)
    sums = np.stack(
        [
            np.maximum(0.0, memory.cusum[:, 0] + step - CUSUM_SLACK),
            np.maximum(0.0, memory.cusum[:, 1] - step - CUSUM_SLACK),
        ],
        axis=1,
    )
    return day, np.where(known[:, None], sums, memory.cusum)


def _count_still_and_silent(memory: DetectorState, values: Floats) -> tuple[Floats, Floats]:
    """For how many steps each value stands already, and for how many nothing has come."""
    before = np.concatenate([memory.run[:, :1], values[:, :-1]], axis=1)
    missing = np.isnan(values)
    still = count_run_lengths(values == before, start=memory.run[:, 1]) + 1.0
    silent = count_run_lengths(missing, start=np.nan_to_num(memory.run[:, 2]))
    born = np.isfinite(memory.run[:, 2])[:, None] | (np.cumsum(~missing, axis=1) > 0)
    return np.where(missing, 0.0, still), np.where(born, silent, 0.0)


def _update_runs(
    memory: DetectorState, verdict: DayScores, is_strange: Bools, setup: DetectorSetup
) -> Floats:
    """The last value, its run, the silence and the share of time at rest, after the day."""
    rest = verdict.still * setup.minutes / 60 >= REST_HOURS
    long_rest = np.where(np.isnan(verdict.values) | is_strange, 0.0, rest).mean(axis=1)
    known = np.isfinite(verdict.values).any(axis=1)
    kept = 1 - 1 / 28
    share = np.where(known, kept * memory.run[:, 3] + (1 - kept) * long_rest, memory.run[:, 3])
    born = np.isfinite(memory.run[:, 2]) | known
    return np.stack(
        [
            verdict.values[:, -1],
            np.where(np.isnan(verdict.values[:, -1]), 0.0, verdict.still[:, -1] - 1),
            np.where(born, verdict.silent[:, -1], np.nan),
            share,
        ],
        axis=1,
    )


def _check_limits(values: Floats, setup: DetectorSetup) -> tuple[Floats, Bools]:
    """The mean over each limit's span of clock time, and whether it breaks the limit.

    The median of the span has to break it, too: one wrong reading is no overload.
    """
    mean, middle = values.copy(), values.copy()
    for span in np.unique(setup.over_steps[setup.over_steps > 1]):
        rows = np.flatnonzero(setup.over_steps == span)
        parts = values[rows].reshape(len(rows), -1, int(span))
        mean[rows] = np.repeat(parts.mean(axis=2), int(span), axis=1)
        middle[rows] = np.repeat(compute_median(parts, axis=2), int(span), axis=1)
    low, high = setup.low[:, None], setup.high[:, None]
    outside = (np.fmax(mean, middle) < low) | (np.fmin(mean, middle) > high)
    return mean, outside
