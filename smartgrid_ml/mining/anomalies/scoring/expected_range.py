"""What a series is expected to be at an hour: robust profiles, and what its neighbours did.

All of it is set-wise NumPy over series: an array's first axis is the series.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smartgrid_ml.mining.anomalies.nan_arrays import Floats, Ints

RECENT_DAYS = 12.0
"""Half the weight of a profile lies in so many days, so that it follows the season."""

KINSHIP = np.array([[1.0, 0.03, 0.03], [0.03, 1.0, 0.5], [0.03, 0.5, 1.0]])
"""How much a workday, a Saturday and a Sunday or holiday tell of each other."""

QUARTILE = 0.6745
"""Of the standard normal distribution: a quartile's distance in standard deviations."""

OTHER_SIDE = 0.25
"""So much of the spread on one side of the median is taken from the other side."""

SMOOTHED_SLOTS = 2
"""A spread is averaged over so many slots on each side: few days tell little of one slot."""

CALM_BELIEVED = 0.5
LEAST_SPREAD_OF_SPAN = 0.05
"""No slot is trusted to be much calmer than the whole series is."""

HABIT_DAYS = 4
"""What a series did on four days is a habit; on three, it may have been a fault."""

LEAST_SAMPLES = 3
"""A slot that is known of fewer days has no expected range."""

MOST_COMMON = 30.0
"""A common movement counts at most so many of a series' own spreads."""

LEAST_PEERS = 3
"""Fewer neighbours cannot outvote one of them that is wrong."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What every local slot of a day is expected to be, float64 (n_series, n_slots).

    Attributes:
        middle: Median, unit of the series; NaN where too few days are known.
        below: Spread of values below the median, as a standard deviation.
        above: Spread of values above the median.
    """

    middle: Floats
    below: Floats
    above: Floats


def compute_weighted_quantiles(values: Floats, weights: Floats, *, at: Sequence[float]) -> Floats:
    """Return quantiles along the last axis, (len(at), ...); NaN where nothing is known.

    ``values``: (..., n), NaN for unknown. ``weights``: broadcastable to it, not negative. A
    quantile is the first value at which the summed weight reaches its share (the inverse of the
    weighted distribution function).

    >>> values, weights = np.array([3.0, 1.0, np.nan, 2.0]), np.array([1.0, 1.0, 9.0, 2.0])
    >>> compute_weighted_quantiles(values, weights, at=(0.25, 0.5, 1.0)).tolist()
    [1.0, 2.0, 3.0]
    """
    is_known = np.isfinite(values)
    order = np.argsort(np.where(is_known, values, np.inf), axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    shares = np.where(is_known, np.broadcast_to(weights, values.shape), 0.0)
    reached = np.cumsum(np.take_along_axis(shares, order, axis=-1), axis=-1)
    total = reached[..., -1:]
    picked = []
    for share in at:
        place = np.argmax(reached >= share * total, axis=-1)[..., None]
        picked.append(np.take_along_axis(ordered, place, axis=-1)[..., 0])
    return np.where(total[..., 0] > 0, np.array(picked), np.nan)


def build_profile(history: Floats, *, past_kinds: Ints, kinds: Ints, pool: int) -> Profile:
    """Return median and spread of every slot, of like days and with more weight for recent ones.

    The spread is a quartile's distance from the median in units of a standard deviation, as the
    median absolute deviation is, for each side by itself.

    Args:
        history: float64 (n_series, n_days, n_slots), oldest day first; NaN is unknown.
        past_kinds: int64 (n_days, n_slots), 0 workday, 1 Saturday, 2 Sunday or holiday.
        kinds: int64 (n_slots,), those of the day to come.
        pool: Slots on each side that are samples of a slot as well.

    Returns:
        The profile, unit of each series.
    """
    n_days = history.shape[1]
    # weight of each day by its age and kind, (n_days, n_slots)
    ages = np.arange(n_days, 0, -1, dtype=np.float64)
    weights = 0.5 ** (ages / RECENT_DAYS)[:, None] * KINSHIP[past_kinds, kinds[None, :]]
    # samples of a slot: all days of it and its neighbours, (n_series, n_samples, n_slots)
    shifts = range(-pool, pool + 1)
    samples = np.concatenate([np.roll(history, shift, axis=2) for shift in shifts], axis=1)
    pooled = np.concatenate([np.roll(weights, shift, axis=1) for shift in shifts], axis=0)
    low, middle, high = compute_weighted_quantiles(
        samples.transpose(0, 2, 1), pooled.T[None], at=(0.25, 0.5, 0.75)
    )
    # days of which the slot or a neighbour is known, (n_series, n_slots)
    days_known = np.isfinite(history).sum(axis=1)
    most_known = np.maximum.reduce([np.roll(days_known, shift, axis=1) for shift in shifts])
    middle = np.where(most_known >= min(LEAST_SAMPLES, n_days), middle, np.nan)
    lower, upper = (middle - low) / QUARTILE, (high - middle) / QUARTILE
    own = 1 - OTHER_SIDE
    floor = _find_least_spread(history)[:, None]
    return Profile(
        middle=middle,
        below=np.maximum(_shrink_to_mean(own * lower + OTHER_SIDE * upper), floor),
        above=np.maximum(_shrink_to_mean(own * upper + OTHER_SIDE * lower), floor),
    )


def measure_common_movement(moves: Floats, groups: Sequence[Ints]) -> Floats:
    """Return how the neighbours of each series moved, their median without itself.

    ``moves``: float64 (n_series, n_steps), deviations in units of each series' own spread, NaN for
    unknown. ``groups``: the rows of each peer group. Zero where fewer than three neighbours are
    known.

    >>> moves = np.array([[9.0], [1.0], [2.0], [3.0]])
    >>> measure_common_movement(moves, [np.arange(4)]).ravel().tolist()
    [2.0, 3.0, 3.0, 2.0]
    """
    common = np.zeros_like(moves)
    for rows in groups:
        common[rows] = _take_median_of_others(moves[rows])
    return np.clip(common, -MOST_COMMON, MOST_COMMON)


def _find_least_spread(history: Floats) -> Floats:
    """Return the floor below which no slot's spread falls, (n_series,).

    It is a share of the span that the series had on HABIT_DAYS days, however rarely: a charger
    that mostly idles is no stranger when it charges.
    """
    is_known = np.isfinite(history)
    highest = np.where(is_known, history, -np.inf).max(axis=2)
    lowest = np.where(is_known, history, np.inf).min(axis=2)
    place = min(HABIT_DAYS, history.shape[1]) - 1
    high = -np.sort(-highest, axis=1)[:, place]
    low = np.sort(lowest, axis=1)[:, place]
    span = np.where(np.isfinite(high) & np.isfinite(low), high - low, 0.0)
    size = np.where(is_known, np.abs(history), 0.0).max(axis=(1, 2), initial=0.0)
    return np.asarray(np.fmax(LEAST_SPREAD_OF_SPAN * span, 1e-9 * size + 1e-12))


def _shrink_to_mean(spread: Floats) -> Floats:
    """Return the slots' spreads, half way to their mean: what is rare may come at any hour."""
    near = _smooth_over_slots(spread)
    is_known = np.isfinite(near)
    mean = np.where(is_known, near, 0.0).sum(axis=1) / np.maximum(is_known.sum(axis=1), 1)
    return np.asarray(CALM_BELIEVED * near + (1 - CALM_BELIEVED) * mean[:, None])


def _smooth_over_slots(spread: Floats) -> Floats:
    """Return a mean over neighbouring slots, around midnight as well; unknown ones stay unknown."""
    n_slots = spread.shape[1]
    reach = min(SMOOTHED_SLOTS, (n_slots - 1) // 2)
    near = np.array([np.roll(spread, shift, axis=1) for shift in range(-reach, reach + 1)])
    is_known = np.isfinite(near)
    mean = np.where(is_known, near, 0.0).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    return np.where(np.isfinite(spread), mean, np.nan)


def _take_median_of_others(moves: Floats) -> Floats:
    """Return, for each row, the median of the other rows by step; 0 where too few are known.

    One sort serves all rows: without itself, what lies behind a row's own place moves up by one.
    """
    is_known = np.isfinite(moves)
    filled = np.where(is_known, moves, np.inf)
    order = np.argsort(filled, axis=0, kind="stable")
    ordered = np.take_along_axis(filled, order, axis=0)
    rank = np.argsort(order, axis=0, kind="stable")
    others = is_known.sum(axis=0)[None, :] - is_known
    last = len(moves) - 1

    def pick(place: Ints) -> Floats:
        """Return the value at a place among the others."""
        moved = np.clip(place + ((rank <= place) & is_known), 0, last)
        return np.take_along_axis(ordered, moved, axis=0)

    is_enough = others >= LEAST_PEERS
    low, high = pick(np.maximum(others - 1, 0) // 2), pick(others // 2)
    middle = (np.where(is_enough, low, 0.0) + np.where(is_enough, high, 0.0)) / 2
    return np.where(is_enough, middle, 0.0)
