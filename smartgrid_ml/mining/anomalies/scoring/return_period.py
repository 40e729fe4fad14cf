"""How rarely a series is as strange as that: one measure for all series and all detectors.

A detector's largest value of each day, to some power, follows about a Gumbel distribution (the
limit law of maxima: Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, chapter
3). Fitted to the days of the past, it says how many days one waits for such a value.
"""

from dataclasses import dataclass

import numpy as np

from smartgrid_ml.mining.anomalies.nan_arrays import Floats, Ints
from smartgrid_ml.mining.anomalies.scoring.expected_range import (
    HABIT_DAYS,
    compute_weighted_quantiles,
)

GUMBEL_MEDIAN = 0.36651292
"""-ln(ln 2): the median of the standard Gumbel distribution."""

GUMBEL_QUARTILES = 1.57253
"""The distance of its quartiles."""

PRIOR_RARE = 3000.0
PRIOR_DAYS = 10
"""A series of few days is taken to be as unruly as most are, until so many days tell more."""

CALM_DAYS = (0.1, 0.4)
"""Quantiles of the daily maxima that stay calm while fewer than six days in ten are strange."""

APART_DAYS = 3
"""Days that lie closer together are one occasion."""

LEAST_SCALE = 0.05
"""The power of a daily maximum varies at least by so much."""

RECORD, RECORD_DAYS = 1.3, 28
"""So many times the highest of so many days is expected once in a hundred days, however unruly the
days were: without it the range of a load that follows the weather would be wider than the load."""

RECORD_REDUCED = float(np.log(99.0)) - GUMBEL_MEDIAN

LOG10 = float(np.log(10.0))
MOST = 12.0
"""Scores end here: one in a trillion days says enough."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is thought of a series of which nothing is known.

    Attributes:
        usual: The maximum of a usual day.
        reach: How many times as much is an anomaly, one in PRIOR_RARE days.
        power: Below 1 for tails heavier than exponential, as those of loads are.
    """

    usual: float
    reach: float
    power: float

    @property
    def location(self) -> float:
        """Location of the maximum to the power."""
        return float(self.usual**self.power)

    @property
    def scale(self) -> float:
        """Scale of the maximum to the power."""
        return self.location * float(self.reach**self.power - 1) / float(np.log(PRIOR_RARE))


def fit_daily_maxima(maxima: Floats, prior: Prior, *, habits: bool = True) -> tuple[Floats, Floats]:
    """Return location and scale of the daily maximum to the prior's power, each (n_series,).

    ``maxima``: (n_series, n_days), NaN for a day without.

    With ``habits`` they come from the median and quartiles, so that strange days do not widen them;
    the scale is at least what lets the habit days be ordinary, and at most what makes a new record
    rare. Without, they come from the calmer days alone, of which there are enough even if every
    other day is strange.
    """
    maxima = maxima**prior.power
    days = np.isfinite(maxima).sum(axis=1)
    location, scale = _fit_with_habits(maxima, days, prior) if habits else _fit_calm_days(maxima)
    weight = days / (days + PRIOR_DAYS)
    return (
        np.where(days > 0, weight * location + (1 - weight) * prior.location, prior.location),
        np.maximum(
            np.where(days > 0, weight * scale + (1 - weight) * prior.scale, prior.scale),
            LEAST_SCALE,
        ),
    )


def score_strangeness(
    strangeness: Floats, prior: Prior, *, location: Floats, scale: Floats
) -> Floats:
    """Return log10(1 + days until a value as strange is expected), (n_series, n_steps).

    Args:
        strangeness: float64 (n_series, n_steps), at least 0; NaN scores 0.
        prior: Its power is that of location and scale.
        location: float64 (n_series,), of the daily maximum to the power.
        scale: float64 (n_series,), of the daily maximum to the power.

    Returns:
        Scores, 0 to MOST.
    """
    reduced = (strangeness**prior.power - location[:, None]) / scale[:, None]
    is_known = np.isfinite(reduced)
    reduced = np.clip(np.where(is_known, reduced, 0.0), -300.0, MOST * LOG10)
    return np.where(is_known, np.logaddexp(0.0, reduced) / LOG10, 0.0)


def find_bound(threshold: float, prior: Prior, *, location: Floats, scale: Floats) -> Floats:
    """Return the strangeness at which the score reaches the threshold, (n_series,).

    Args:
        threshold: A score above 0.
        prior: Its power is that of location and scale.
        location: float64 (n_series,), of the daily maximum to the power.
        scale: float64 (n_series,), of the daily maximum to the power.

    Returns:
        float64, the unit of the daily maximum.

    >>> prior = Prior(usual=3.5, reach=8, power=0.7)
    >>> at = {"location": np.array([prior.location]), "scale": np.array([prior.scale])}
    >>> bound = find_bound(2.0, prior, **at)
    >>> score_strangeness(bound[:, None], prior, **at).round(6).tolist()
    [[2.0]]
    """
    reduced = np.log(np.expm1(threshold * LOG10))
    return np.asarray((location + scale * reduced) ** (1 / prior.power))


def _fit_calm_days(maxima: Floats) -> tuple[Floats, Floats]:
    """Return location and scale, (n_series,), from the CALM_DAYS of (n_series, n_days)."""
    calm, usual = compute_weighted_quantiles(maxima, np.ones(1), at=CALM_DAYS)
    reduced = [-float(np.log(-np.log(share))) for share in CALM_DAYS]
    scale = (usual - calm) / (reduced[1] - reduced[0])
    return usual - reduced[1] * scale, scale


def _fit_with_habits(maxima: Floats, days: Ints, prior: Prior) -> tuple[Floats, Floats]:
    """Return location and scale, (n_series,), from median, quartiles, habits and the record.

    ``maxima``: float64 (n_series, n_days), to the prior's power. ``days``: int64 (n_series,), how
    many of them are known.
    """
    low, middle, high = compute_weighted_quantiles(maxima, np.ones(1), at=(0.25, 0.5, 0.75))
    scale = (high - low) / GUMBEL_QUARTILES
    # occasions by size, the largest first, (n_series, n_days)
    peaks = _keep_peaks(maxima)
    ordered = -np.sort(np.where(np.isfinite(peaks), -peaks, np.inf), axis=1)
    if maxima.shape[1] >= HABIT_DAYS:
        # the scale at which the HABIT_DAYS-th largest lies where the law expects it
        place = 1 - (HABIT_DAYS - 0.44) / (np.maximum(days, HABIT_DAYS + 1) + 0.12)
        reduced = -np.log(-np.log(place)) - GUMBEL_MEDIAN
        habit = (ordered[:, HABIT_DAYS - 1] - middle) / np.maximum(reduced, 0.5)
        habit = np.where(reduced > 0.5, habit, 0.0)
        scale = np.fmax(scale, np.where(np.isfinite(habit), habit, 0.0))
    # the scale at which RECORD times the largest is expected once in a hundred days
    highest = np.where(days >= RECORD_DAYS, ordered[:, 0], np.nan)
    record = (RECORD**prior.power * highest - middle) / RECORD_REDUCED
    scale = np.fmin(scale, np.where(np.isfinite(record), record, np.inf))
    return middle - GUMBEL_MEDIAN * scale, scale


def _keep_peaks(maxima: Floats) -> Floats:
    """Return the days that are the largest within a week, NaN elsewhere, (n_series, n_days).

    What lasts for days has happened once.
    """
    known = np.where(np.isfinite(maxima), maxima, -np.inf)
    around = np.pad(known, ((0, 0), (APART_DAYS, APART_DAYS)), constant_values=-np.inf)
    near = np.lib.stride_tricks.sliding_window_view(around, 2 * APART_DAYS + 1, axis=1)
    return np.where(known >= near.max(axis=2), maxima, np.nan)
