"""One day of many series, scored by what is known of the days before."""

from collections.abc import Sequence

import numpy as np

from smartgrid_ml.mining.anomalies.calendar import DayCalendar
from smartgrid_ml.mining.anomalies.nan_arrays import (
    LEAST_KNOWN_SHARE,
    Bools,
    Floats,
    Ints,
    compute_median,
    compute_rolling_median,
    count_run_lengths,
)
from smartgrid_ml.mining.anomalies.scoring.day_scores import (
    DayScores,
    Deviations,
    ExpectedRange,
)
from smartgrid_ml.mining.anomalies.scoring.expected_range import (
    QUARTILE,
    build_profile,
    measure_common_movement,
)
from smartgrid_ml.mining.anomalies.scoring.return_period import (
    Prior,
    find_bound,
    fit_daily_maxima,
    score_strangeness,
)
from smartgrid_ml.mining.anomalies.settings import DetectorSettings, DetectorSetup, RowLimits
from smartgrid_ml.mining.anomalies.state import DETECTORS, FLAT, DetectorState

RIDGE = 5.0
"""Hours of proof that an influence needs before it is believed."""

MOST_CUSUM_STEP = 4.0
"""A day adds no more than this to the cumulated sums, in the days' own spreads."""

MOST_EXPLAINED = 30.0
"""Neighbours and weather explain at most so many spreads of a series."""

MOST_CONTEXT = 4.0
"""A deviation of the weather counts at most so many of its own spreads."""

CUSUM_SLACK = 0.5
"""Half of the smallest lasting deviation of a day that counts, in the days' own spreads (Page 1954;
Montgomery, Introduction to Statistical Quality Control, chapter 9)."""

CUSUM_DAYS = 5
USUAL_DAILY_SPREAD = 0.5
LEAST_DAILY_SPREAD = 0.1
"""Spread of the days' medians, in spreads: before so many days are known, and at least."""

PRIORS = (
    Prior(usual=3.5, reach=8, power=0.7),
    Prior(usual=1.5, reach=8, power=0.6),
    Prior(usual=1.0, reach=8, power=0.7),
    Prior(usual=3.0, reach=8, power=0.5),
    Prior(usual=3.0, reach=4, power=0.4),
    Prior(usual=0.3, reach=8, power=0.4),
)
"""By detector: spreads of a value, of hours, of a day, sums of daily spreads, steps of standstill
and of silence. With these powers scores of one in 30 to 300 days come about that often on the
demo's sensors and meters."""

SETTLED_DAYS = 9
"""Deviations from a profile of fewer days say more of the profile than of the series."""

REST_HOURS = 3.0
"""A value that stands for so long is a standstill."""

HABIT_SHARE = 0.005
"""A series that stands still for more of its time has a habit, as in `readings.judgements`."""

SLOTS_TO_POOL = 48
"""From so many slots a day on, a slot's neighbours are samples of it as well."""


def score_day(
    state: DetectorState, values: Floats, calendar: DayCalendar, setup: DetectorSetup
) -> DayScores:
    """Return how strange every value of a day is; the state is only read.

    Args:
        state: What is known of the series after the day before.
        values: float64 (n_rows, per_day), unit of each series; NaN is missing.
        calendar: The day's local slots and kinds of day.
        setup: Settings and rows.

    Returns:
        Scores of all rows, and what they rest on.
    """
    settings = setup.settings
    expected = _expect_range(state, values, calendar, setup)
    deviations = _measure_deviations(state, values, expected, settings)
    still, silent = _count_still_and_silent(state, values)
    mean_in_span, is_outside = _check_limits(values, setup.limits)
    # strangeness by detector, (n_rows, DETECTORS, per_day), each at least 0
    strangeness = np.stack(
        [
            np.abs(deviations.by_step),
            np.abs(deviations.over_hours),
            np.abs(deviations.over_day),
            np.broadcast_to(deviations.cusum.max(axis=1)[:, None], values.shape),
            still,
            silent,
        ],
        axis=1,
    )
    scores, bounds = _score_detectors(strangeness, state, settings)
    days_known = np.isfinite(state.history).any(axis=2).sum(axis=1)
    return DayScores(
        values=values,
        expected=expected,
        deviations=deviations,
        still=still,
        silent=silent,
        mean_in_span=mean_in_span,
        is_outside=is_outside,
        scores=scores,
        bounds=bounds,
        is_ready=days_known >= settings.warm_up_days,
        is_settled=days_known >= min(SETTLED_DAYS, settings.warm_up_days),
    )


def measure_imbalance(values: Floats, history: Floats, phases: Sequence[Ints]) -> Floats:
    """Return how far each phase is from its phases' mean, % of it, (n_phases, per_day).

    Below half of the usual mean the percentage is of that half: little current is easily uneven.
    ``values``: float64 (n_judged, per_day), unit of the series. ``history``: (n_judged, n_days,
    n_slots), the profile's days. ``phases``: rows of the phases of each place.

    >>> values = np.array([[90.0], [100.0], [110.0]])
    >>> uneven = measure_imbalance(values, values[:, None], [np.array([0, 1, 2])])
    >>> uneven.tolist()
    [[-10.0], [0.0], [10.0]]
    """
    rows = []
    for places in phases:
        of_place = values[places]
        mean = of_place.mean(axis=0)
        usual = compute_median(np.abs(history[places]).reshape(1, -1), axis=1)[0]
        usual = usual if np.isfinite(usual) else compute_median(np.abs(mean)[None], axis=1)[0]
        base = np.fmax(np.abs(mean), 0.5 * usual)
        with np.errstate(invalid="ignore", divide="ignore"):
            rows.append(np.where(base > 0, 100 * (of_place - mean) / base, np.nan))
    return np.concatenate(rows) if rows else np.empty((0, values.shape[1]))


def _expect_range(
    state: DetectorState, values: Floats, calendar: DayCalendar, setup: DetectorSetup
) -> ExpectedRange:
    """Return the range of every step: the profile, moved by what neighbours and weather explain.

    Args:
        state: What is known of the series after the day before.
        values: float64 (n_rows, per_day), unit of each series; NaN is missing.
        calendar: The day's local slots and kinds of day.
        setup: Settings and rows.

    Returns:
        The expected values and their spreads.
    """
    settings = setup.settings
    # kind of day by local slot, (n_slots,)
    kinds = np.zeros(settings.slots, dtype=np.int64)
    kinds[calendar.slots] = calendar.kinds
    by_slot = build_profile(
        state.history,
        past_kinds=calendar.past_kinds,
        kinds=kinds,
        pool=1 if settings.slots >= SLOTS_TO_POOL else 0,
    )
    # by local slot -> by step in the order of time, (n_rows, per_day)
    profile, below, above = (
        np.repeat(part[:, calendar.slots], settings.per_slot, axis=1)
        for part in (by_slot.middle, by_slot.below, by_slot.above)
    )
    # one spread per row, (n_rows,): how far days usually are from the profile, or its mean spread
    spread = compute_median(state.spread, axis=1) / QUARTILE
    spread = np.where(np.isfinite(spread), spread, 0.0)
    spread = np.fmax(spread, compute_median((below + above) / 2, axis=1))
    regressors = _build_regressors((values - profile) / spread[:, None], setup)
    explained = _explain(state, regressors) * spread[:, None]
    return ExpectedRange(
        profile=profile,
        explained=explained,
        centre=profile + explained,
        below=below,
        above=above,
        spread=spread,
        regressors=regressors,
    )


def _build_regressors(away: Floats, setup: DetectorSetup) -> Floats:
    """Return what may explain a deviation: the neighbours' and the weather's, (n_rows, k, per_day).

    ``away``: float64 (n_rows, per_day), distance from the profile in spreads.
    """
    weather = np.clip(away[setup.first_context :], -MOST_CONTEXT, MOST_CONTEXT)
    rows = np.zeros((len(away), 1 + len(weather), away.shape[1]))
    judged = slice(0, setup.judged)
    rows[judged, 0] = measure_common_movement(away[judged], setup.groups)
    rows[judged, 1:] = np.where(np.isfinite(weather), weather, 0.0)[None]
    return rows


def _explain(state: DetectorState, regressors: Floats) -> Floats:
    """Return what the regressors, (n_rows, k, per_day), explain, in spreads, (n_rows, per_day)."""
    ridge = RIDGE * np.eye(regressors.shape[1])
    weights = np.linalg.solve(state.gram + ridge, state.moment[..., None])[..., 0]
    explained: Floats = np.einsum("nk,nks->ns", weights, regressors)
    return np.clip(explained, -MOST_EXPLAINED, MOST_EXPLAINED)


def _measure_deviations(
    state: DetectorState, values: Floats, expected: ExpectedRange, settings: DetectorSettings
) -> Deviations:
    """Return how far the values are from their range, of steps, of hours, of the day and of weeks.

    Args:
        state: What is known of the series after the day before.
        values: float64 (n_rows, per_day), unit of each series; NaN is missing.
        expected: The range of every value.
        settings: Slots of the day and of the rolling medians.

    Returns:
        Deviations in spreads.
    """
    residual = values - expected.centre
    by_step = residual / np.where(residual >= 0, expected.above, expected.below)
    by_step = np.where(np.isfinite(by_step), by_step, np.nan)
    by_slot = take_slot_medians(by_step, settings)
    # yesterday's slots in front, so that the first windows of the day are whole
    recent = np.concatenate([state.tail, by_slot], axis=1)
    over_hours, over_day = (
        np.repeat(
            compute_rolling_median(recent, length, last=settings.slots), settings.per_slot, axis=1
        )
        for length in (settings.short, settings.long)
    )
    of_day, cusum = _update_cusum(state, by_slot)
    return Deviations(
        by_step=by_step,
        by_slot=by_slot,
        over_hours=over_hours,
        over_day=over_day,
        of_day=of_day,
        cusum=cusum,
    )


def take_slot_medians(by_step: Floats, settings: DetectorSettings) -> Floats:
    """Return the median of every slot, (n_rows, n_slots), of figures by step, (n_rows, per_day)."""
    shape = (len(by_step), settings.slots, settings.per_slot)
    return compute_median(by_step.reshape(shape), axis=2)


def _update_cusum(state: DetectorState, by_slot: Floats) -> tuple[Floats, Floats]:
    """Return the day's median deviation, (n_rows,), and the cumulated sums with it, (n_rows, 2).

    ``by_slot``: float64 (n_rows, n_slots), deviations in spreads. A day of which under half is
    known leaves the sums as they are.
    """
    is_known = np.isfinite(by_slot).sum(axis=1) >= LEAST_KNOWN_SHARE * by_slot.shape[1]
    of_day = np.where(is_known, compute_median(by_slot, axis=1), np.nan)
    # the days' own spread, (n_rows,)
    days_known = np.isfinite(state.daily).sum(axis=1)
    spread = compute_median(np.abs(state.daily), axis=1) / QUARTILE
    spread = np.where(
        days_known >= CUSUM_DAYS, np.fmax(spread, LEAST_DAILY_SPREAD), USUAL_DAILY_SPREAD
    )
    step = np.where(is_known, of_day, 0.0) / spread
    step = np.clip(step, -MOST_CUSUM_STEP, MOST_CUSUM_STEP)
    sums = np.stack(
        [
            np.maximum(0.0, state.cusum[:, 0] + step - CUSUM_SLACK),
            np.maximum(0.0, state.cusum[:, 1] - step - CUSUM_SLACK),
        ],
        axis=1,
    )
    return of_day, np.where(is_known[:, None], sums, state.cusum)


def _count_still_and_silent(state: DetectorState, values: Floats) -> tuple[Floats, Floats]:
    """Return for how many steps each value stands already, and for how many nothing has come.

    Both float64 (n_rows, per_day), as is ``values`` (NaN is missing).
    """
    before = np.concatenate([state.last_value[:, None], values[:, :-1]], axis=1)
    is_missing = np.isnan(values)
    still = count_run_lengths(values == before, start=state.still_steps) + 1.0
    silent = count_run_lengths(is_missing, start=np.nan_to_num(state.silent_steps))
    # a series is silent only after its first value
    has_begun = np.isfinite(state.silent_steps)[:, None] | (np.cumsum(~is_missing, axis=1) > 0)
    return np.where(is_missing, 0.0, still), np.where(has_begun, silent, 0.0)


def _check_limits(values: Floats, limits: RowLimits) -> tuple[Floats, Bools]:
    """Return the mean over each limit's span of clock time, and whether it breaks the limit.

    Both (n_rows, per_day), as is ``values``, unit of the series. The median of the span has to
    break the limit, too: one wrong reading is no overload.
    """
    mean, middle = values.copy(), values.copy()
    for span in np.unique(limits.over_steps[limits.over_steps > 1]):
        rows = np.flatnonzero(limits.over_steps == span)
        # (rows of this span, spans of a day, steps of a span)
        parts = values[rows].reshape(len(rows), -1, int(span))
        mean[rows] = np.repeat(parts.mean(axis=2), int(span), axis=1)
        parts = np.where(np.isfinite(parts), parts, np.nan)
        middle[rows] = np.repeat(compute_median(parts, axis=2), int(span), axis=1)
    low, high = limits.low[:, None], limits.high[:, None]
    is_outside = (np.fmax(mean, middle) < low) | (np.fmin(mean, middle) > high)
    return mean, is_outside


def _score_detectors(
    strangeness: Floats, state: DetectorState, settings: DetectorSettings
) -> tuple[Floats, Floats]:
    """Return the scores, (n_rows, DETECTORS, per_day), and the bounds, (n_rows, DETECTORS).

    ``strangeness``: float64 (n_rows, DETECTORS, per_day), at least 0; NaN scores 0. Each detector's
    is held against its own daily maxima of the past. Standstill by habit scores 0.
    """
    scores = np.empty_like(strangeness)
    bounds = np.empty((len(strangeness), DETECTORS))
    for detector, prior in enumerate(PRIORS):
        location, scale = fit_daily_maxima(
            state.extremes[:, detector], prior, habits=settings.habits
        )
        scores[:, detector] = score_strangeness(
            strangeness[:, detector], prior, location=location, scale=scale
        )
        bounds[:, detector] = find_bound(settings.threshold, prior, location=location, scale=scale)
    scores[state.rest_share > HABIT_SHARE, FLAT] = 0.0
    return scores, bounds
