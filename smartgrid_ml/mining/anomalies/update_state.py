"""What is known of the series after a day: anomalies teach little, what has lasted is normal."""

from collections.abc import Sequence

import numpy as np

from smartgrid_ml.mining.anomalies.calendar import DayCalendar
from smartgrid_ml.mining.anomalies.classify import DayAnomalies
from smartgrid_ml.mining.anomalies.episodes import HOUR_US
from smartgrid_ml.mining.anomalies.evidence import JudgedDay, count_lag_steps
from smartgrid_ml.mining.anomalies.nan_arrays import Floats, compute_median, find_largest
from smartgrid_ml.mining.anomalies.scoring.day_scores import DayScores
from smartgrid_ml.mining.anomalies.scoring.score_day import REST_HOURS, take_slot_medians
from smartgrid_ml.mining.anomalies.settings import DetectorSetup
from smartgrid_ml.mining.anomalies.state import (
    DAY_SHIFT,
    DETECTORS,
    DRIFT,
    FLAT,
    DetectorState,
)

FORGETTING = 0.5 ** (1 / 14)
"""What neighbours and weather do is learned anew within weeks: a season changes it."""

REST_FORGETTING = 1 - 1 / 28
"""The share of time at rest is of about four weeks."""

ACCEPTED_DAYS = {"level_shift": 7, "phase_imbalance": 14, "drift": 21}
"""What has lasted for so long is the new normal."""

MOST_CUSUM = 1.2
"""Cumulated sums end at so many times their bound, so that a drift that is over ends soon."""


def update_state(day: JudgedDay, anomalies: DayAnomalies, calendar: DayCalendar) -> DetectorState:
    """Return the state after a day; what is strange teaches no measure of what is usual."""
    state, scores = day.state, day.scores
    expected, deviations = scores.expected, scores.deviations
    is_sound = np.isfinite(scores.values) & ~anomalies.is_lasting
    sound = np.where(is_sound, scores.values, np.nan)
    # the day without what neighbours and weather explain, by local slot, (n_rows, n_slots)
    adjusted = sound - np.where(np.isfinite(expected.explained), expected.explained, 0.0)
    today = np.full((len(sound), day.setup.settings.slots), np.nan)
    today[:, calendar.slots] = take_slot_medians(adjusted, day.setup.settings)
    gram, moment = _update_regression(state, scores, sound)
    has_value = np.isfinite(scores.values).any(axis=1)
    has_begun = np.isfinite(state.silent_steps) | has_value
    is_silent = np.isnan(scores.values[:, -1])
    tail = np.concatenate([state.tail, deviations.by_slot], axis=1)
    after = DetectorState(
        series=state.series,
        history=_append(state.history, today),
        spread=_append(state.spread, compute_median(np.abs(sound - expected.profile), axis=1)),
        gram=gram,
        moment=moment,
        extremes=_append_daily_maxima(state, scores, anomalies),
        tail=tail[:, -state.tail.shape[1] :],
        daily=_append(state.daily, deviations.of_day),
        cusum=np.where(np.isfinite(deviations.cusum), deviations.cusum, state.cusum),
        last_value=scores.values[:, -1],
        still_steps=np.where(is_silent, 0.0, scores.still[:, -1] - 1),
        silent_steps=np.where(has_begun, scores.silent[:, -1], np.nan),
        rest_share=np.where(has_value, _update_rest_share(day, anomalies), state.rest_share),
        episodes=anomalies.open_episodes + [None] * (len(sound) - day.setup.judged),
    )
    _end_cusums(after, scores)
    _end_episodes(after, day)
    after.forget_silent()
    return after


def _append(days: Floats, today: Floats) -> Floats:
    """Return the days, (n_rows, n_days, ...), without the first and with today, (n_rows, ...)."""
    return np.concatenate([days[:, 1:], today[:, None]], axis=1)


def _update_regression(
    state: DetectorState, scores: DayScores, sound: Floats
) -> tuple[Floats, Floats]:
    """Return the regression's sums with the day in them, Huber's weights for what does not fit.

    They are (n_rows, k, k) and (n_rows, k) for k regressors. ``sound``: float64 (n_rows, per_day),
    the day's values without what lasts.
    """
    expected = scores.expected
    # in spreads, (n_rows, per_day): the distance from the profile, and what stays unexplained of it
    away = (sound - expected.profile) / expected.spread[:, None]
    misfit = np.abs(sound - expected.centre) / expected.spread[:, None]
    is_known = np.isfinite(away) & np.isfinite(misfit)
    weight = np.where(is_known, 1 / np.fmax(1.0, np.where(is_known, misfit, 0.0)), 0.0)
    target = np.where(is_known, away, 0.0)
    x = expected.regressors
    gram = np.einsum("nks,nls,ns->nkl", x, x, weight)
    moment = np.einsum("nks,ns,ns->nk", x, target, weight)
    return FORGETTING * state.gram + gram, FORGETTING * state.moment + moment


def _append_daily_maxima(
    state: DetectorState, scores: DayScores, anomalies: DayAnomalies
) -> Floats:
    """Return the daily maxima of strangeness with today's, (n_rows, DETECTORS, EXTREME_DAYS).

    An anomaly counts as the bound on its first day, then not at all.
    """
    deviations, is_strange = scores.deviations, anomalies.is_strange
    today = np.full((len(is_strange), DETECTORS), np.nan)
    by_step = (
        np.abs(deviations.by_step),
        np.abs(deviations.over_hours),
        np.abs(deviations.over_day),
        np.broadcast_to(deviations.cusum.max(axis=1)[:, None], is_strange.shape),
        _mask_open_runs(scores.still),
        _mask_open_runs(scores.silent),
    )
    # the sums are of the whole day: strange if any of it is
    is_strange_day = np.broadcast_to(is_strange.any(axis=1, keepdims=True), is_strange.shape)
    for detector, strangeness in enumerate(by_step):
        mask = is_strange_day if detector == DRIFT else is_strange
        today[:, detector] = find_largest(np.where(mask, np.nan, strangeness))
    today = np.minimum(today, scores.bounds)
    today = np.where(anomalies.begins, scores.bounds, today)
    today[~scores.is_settled, :FLAT] = np.nan
    return np.concatenate([state.extremes[:, :, 1:], today[:, :, None]], axis=2)


def _mask_open_runs(steps: Floats) -> Floats:
    """Return lengths of standstills or silences by step, NaN for one that midnight cuts.

    How long that is only the day knows in which it ends; until then it must not make itself usual.
    ``steps``: float64 (n_rows, per_day), the length of the run up to each step.
    """
    last = steps.shape[1] - np.arange(steps.shape[1])
    is_open = steps[:, -1:] >= last
    return np.where(is_open & (steps > 1), np.nan, steps)


def _update_rest_share(day: JudgedDay, anomalies: DayAnomalies) -> Floats:
    """Return the share of time at rest with the day in it, (n_rows,); anomalies do not count."""
    scores = day.scores
    is_rest = scores.still * day.setup.settings.minutes / 60 >= REST_HOURS
    is_rest &= ~(np.isnan(scores.values) | anomalies.is_strange)
    at_rest = np.asarray(is_rest.mean(axis=1))
    return REST_FORGETTING * day.state.rest_share + (1 - REST_FORGETTING) * at_rest


def _end_cusums(after: DetectorState, scores: DayScores) -> None:
    """Take back, in place, the sums whose series has returned, and bound the others."""
    bound, of_day = scores.bounds[:, DRIFT], scores.deviations.of_day
    is_over = scores.deviations.cusum.max(axis=1) >= bound
    is_back = np.abs(np.nan_to_num(of_day)) < np.fmax(_measure_daily_spread(after), 0.1)
    after.cusum[is_over & is_back] = 0.0
    after.cusum[:] = np.minimum(after.cusum, MOST_CUSUM * bound[:, None])


def _measure_daily_spread(state: DetectorState) -> Floats:
    """Return the mean size of the days' median deviations, (n_rows,), in spreads."""
    is_known = np.isfinite(state.daily)
    size = np.where(is_known, np.abs(state.daily), 0.0).sum(axis=1)
    return np.asarray(size / np.maximum(is_known.sum(axis=1), 1))


def _end_episodes(after: DetectorState, day: JudgedDay) -> None:
    """Close, in place, episodes that are over, and take for normal what has lasted."""
    settings = day.setup.settings
    lag_us = count_lag_steps(settings, DAY_SHIFT) * settings.step_us
    end_us = day.get_instant(settings.per_day)
    for row in range(day.setup.judged):
        episode = after.episodes[row]
        if episode is None:
            continue
        days = (episode.end_us - episode.start_us) / (24 * HOUR_US)
        if days >= ACCEPTED_DAYS.get(episode.kind, np.inf):
            is_place = episode.kind == "phase_imbalance"
            _accept_level(after, day, _find_imbalances(day.setup, row) if is_place else [row])
            after.episodes[row] = None
        elif end_us - episode.end_us > settings.gap_us + lag_us:
            after.episodes[row] = None


def _find_imbalances(setup: DetectorSetup, row: int) -> Sequence[int]:
    """Return the rows of the imbalances of all phases of a phase's place."""
    members = next(phases for phases in setup.phases if row in phases)
    beside = {int(phase): setup.judged + at for at, phase in enumerate(setup.phase_rows)}
    return [beside[int(member)] for member in members]


def _accept_level(after: DetectorState, day: JudgedDay, rows: Sequence[int]) -> None:
    """Move, in place, the profile of these rows to where the day lay."""
    for row in rows:
        away = day.scores.values[row] - day.scores.expected.centre[row]
        away = away[np.isfinite(away)]
        if away.size:
            after.history[row] += float(np.median(away))
        after.tail[row], after.cusum[row] = np.nan, 0.0
