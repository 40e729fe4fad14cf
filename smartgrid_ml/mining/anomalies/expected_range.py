"""What a series is expected to be at an hour: robust profiles, neighbours, weather.

All of it is set-wise NumPy over series: an array's first axis is the series.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

RECENT_DAYS = 12.0
"""Half the weight of a profile lies in so many days, so that it follows the season."""

KINSHIP = np.array([[1.0, 0.03, 0.03], [0.03, 1.0, 0.5], [0.03, 0.5, 1.0]])
"""How much a workday, a Saturday and a Sunday or holiday tell of each other."""

QUARTILE = 0.6745
"""Of the standard normal distribution: a quartile's distance in standard deviations."""

SMOOTHED_SLOTS = 2
"""A spread is averaged over so many slots on each side: few days tell little of one slot."""

CALM_BELIEVED = 0.5
LEAST_SPREAD_OF_SPAN = 0.05
"""No slot is trusted to be much calmer than the whole series is."""

HABIT_DAYS = 4
"""What a series did on four days is a habit; on three, it may have been a fault."""

LEAST_SAMPLES = 3
"""A slot that was seen on fewer days has no expected range."""

MOST_COMMON = 30.0
"""A common movement counts at most so many of a series' own spreads."""

LEAST_PEERS = 3
"""Fewer neighbours cannot outvote one of them that is wrong."""


def compute_weighted_quantiles(values: Floats, weights: Floats, *, at: tuple[float, ...]) -> Floats:
    """Quantiles along the last axis, (len(at), ...); NaN where nothing is known.

    ``values``: (..., n), NaN for unknown. ``weights``: broadcastable to it, not negative. A
    quantile is the first value at which the summed weight reaches its share (the inverse of the
    weighted distribution function).
    """
    known = np.isfinite(values)
    order = np.argsort(np.where(known, values, np.inf), axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    shares = np.where(known, np.broadcast_to(weights, values.shape), 0.0)
    reached = np.cumsum(np.take_along_axis(shares, order, axis=-1), axis=-1)
    total = reached[..., -1:]
    picked = []
    for share in at:
        place = np.argmax(reached >= share * total, axis=-1)[..., None]
        picked.append(np.take_along_axis(ordered, place, axis=-1)[..., 0])
    found = np.array(picked)
    return np.where(total[..., 0] > 0, found, np.nan)


def build_profile(
    history: Floats, *, past_types: Ints, types: Ints, pool: int
) -> tuple[Floats, Floats, Floats]:
    """Median and spread below and above of every slot, each (n_series, n_slots).

    ``history``: (n_series, n_days, n_slots), oldest day first. ``past_types``: (n_days, n_slots)
    and ``types``: (n_slots,), 0 workday, 1 Saturday, 2 Sunday or holiday. ``pool``: slots on each
    side that tell of a slot as well. The spread is a quartile's distance from the median in units
    of a standard deviation, as the median absolute deviation is, for each side by itself.
    """
    n_days = history.shape[1]
    ages = np.arange(n_days, 0, -1, dtype=np.float64)
    weights = 0.5 ** (ages / RECENT_DAYS)[:, None] * KINSHIP[past_types, types[None, :]]
    shifts = range(-pool, pool + 1)
    samples = np.concatenate([np.roll(history, shift, axis=2) for shift in shifts], axis=1)
    pooled = np.concatenate([np.roll(weights, shift, axis=1) for shift in shifts], axis=0)
    low, middle, high = compute_weighted_quantiles(
        samples.transpose(0, 2, 1), pooled.T[None], at=(0.25, 0.5, 0.75)
    )
    days_known = np.isfinite(history).sum(axis=1)
    seen = np.maximum.reduce([np.roll(days_known, shift, axis=1) for shift in shifts])
    middle = np.where(seen >= min(LEAST_SAMPLES, n_days), middle, np.nan)
    below, above = (middle - low) / QUARTILE, (high - middle) / QUARTILE
    below, above = 0.75 * below + 0.25 * above, 0.75 * above + 0.25 * below
    floor = _find_least_spread(history)[:, None]
    return (
        middle,
        np.maximum(_shrink_to_mean(below), floor),
        np.maximum(_shrink_to_mean(above), floor),
    )


def _find_least_spread(history: Floats) -> Floats:
    """The floor below which no slot's spread falls, (n_series,).

    It is a share of the span that the series had on HABIT_DAYS days, however rarely: a charger
    that mostly idles is no stranger when it charges.
    """
    known = np.isfinite(history)
    highest = np.where(known, history, -np.inf).max(axis=2)
    lowest = np.where(known, history, np.inf).min(axis=2)
    place = min(HABIT_DAYS, history.shape[1]) - 1
    high = -np.sort(-highest, axis=1)[:, place]
    low = np.sort(lowest, axis=1)[:, place]
    span = np.where(np.isfinite(high) & np.isfinite(low), high - low, 0.0)
    size = np.where(known, np.abs(history), 0.0).max(axis=(1, 2), initial=0.0)
    return np.asarray(np.fmax(LEAST_SPREAD_OF_SPAN * span, 1e-9 * size + 1e-12))


def _shrink_to_mean(spread: Floats) -> Floats:
    """The slots' spreads, drawn half way to their mean: what is rare may come at any hour."""
    near = _smooth_over_slots(spread)
    known = np.isfinite(near)
    mean = np.where(known, near, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.asarray(CALM_BELIEVED * near + (1 - CALM_BELIEVED) * mean[:, None])


def _smooth_over_slots(spread: Floats) -> Floats:
    """A mean over neighbouring slots, around midnight as well; unknown slots stay unknown."""
    n_slots = spread.shape[1]
    reach = min(SMOOTHED_SLOTS, (n_slots - 1) // 2)
    near = np.array([np.roll(spread, shift, axis=1) for shift in range(-reach, reach + 1)])
    known = np.isfinite(near)
    mean = np.where(known, near, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(np.isfinite(spread), mean, np.nan)


def measure_common_movement(moves: Floats, groups: list[Ints]) -> Floats:
    """How the neighbours of each series moved, their median without itself, (n_series, n_steps).

    ``moves``: deviations in units of each series' own spread, NaN for unknown. ``groups``: the
    rows of each peer group. Zero where fewer than three neighbours are known.
    """
    common = np.zeros_like(moves)
    for rows in groups:
        common[rows] = _take_median_of_others(moves[rows])
    return np.clip(common, -MOST_COMMON, MOST_COMMON)


def _take_median_of_others(moves: Floats) -> Floats:
    known = np.isfinite(moves)
    filled = np.where(known, moves, np.inf)
    order = np.argsort(filled, axis=0, kind="stable")
    ordered = np.take_along_axis(filled, order, axis=0)
    rank = np.argsort(order, axis=0, kind="stable")
    others = known.sum(axis=0)[None, :] - known
    last = len(moves) - 1

    def pick(place: NDArray[np.int64]) -> Floats:
        """The value at a place among the others: those behind the series itself move up."""
        moved = np.clip(place + ((rank <= place) & known), 0, last)
        return np.take_along_axis(ordered, moved, axis=0)

    enough = others >= LEAST_PEERS
    low, high = pick(np.maximum(others - 1, 0) // 2), pick(others // 2)
    middle = (np.where(enough, low, 0.0) + np.where(enough, high, 0.0)) / 2
    return np.where(enough, middle, 0.0)
