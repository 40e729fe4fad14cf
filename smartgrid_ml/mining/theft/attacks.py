"""Meter days that were tampered with: what a score of theft learns from.

The kinds and their ranges are those of P. Jokar, N. Arianpoo, V. C. M. Leung, "Electricity Theft
Detection in AMI Using Customers' Consumption Patterns", IEEE Transactions on Smart Grid 7 (1),
2016 (h1 scaling, h2 on/off, h3 per slot, h4 and h5 mean of the day, h6 reversed), and a bypass that
works at night alone.
"""

from collections.abc import Callable

import numpy as np

from smartgrid_core.arrays import F64, Bool

Attack = Callable[[F64, np.random.Generator], F64]
"""Makes of days, (n_days, n_slots) in kWh, what a meter under attack reports."""

LEAST_FACTOR, LARGEST_FACTOR = 0.1, 0.8
"""What is left of a reading: the range of the source, uniform."""

SHORTEST_OFF_SHARE = 4 / 24
"""An on/off attack lasts at least four hours."""

NIGHT = (22, 5)
"""Hours of the day in which the night's bypass works: from 22:00 to 5:00."""

RESOLUTION_KWH = 0.001
"""What a reading is rounded to, or its decimals would give the attack away."""


def apply_attack(
    days_kwh: F64,
    *,
    kind: str,
    rng: np.random.Generator,
    resolution_kwh: float = RESOLUTION_KWH,
) -> F64:
    """Return the same days as a meter under attack would report them, kWh.

    No day gains energy but by rounding: `reversed` keeps it, every other kind lowers it.

    Args:
        days_kwh: float64 (n_days, n_slots), the energy of each slot of a day that begins at
            midnight; not negative.
        kind: One of `ATTACKS`.
        rng: Draws factors and spans; the same state gives the same days.
        resolution_kwh: What a reading is rounded to.

    Raises:
        KeyError: `kind` is not one of `ATTACKS`.
    """
    reported = ATTACKS[kind](np.asarray(days_kwh, dtype=np.float64), rng)
    return np.round(reported / resolution_kwh) * resolution_kwh


def is_night(n_slots: int) -> Bool:
    """Return which of a day's equal slots begin at night, (n_slots,).

    >>> np.flatnonzero(is_night(24)).tolist()
    [0, 1, 2, 3, 4, 22, 23]
    """
    hour = np.arange(n_slots) * 24 / n_slots
    return np.asarray((hour >= NIGHT[0]) | (hour < NIGHT[1]))


def _draw_factors(rng: np.random.Generator, shape: tuple[int, int]) -> F64:
    return rng.uniform(LEAST_FACTOR, LARGEST_FACTOR, size=shape)


def _scale_day(days: F64, rng: np.random.Generator) -> F64:
    """Return days each scaled by one factor."""
    return days * _draw_factors(rng, (len(days), 1))


def _silence_span(days: F64, rng: np.random.Generator) -> F64:
    """Return days without any energy for one span."""
    n_days, n_slots = days.shape
    shortest = round(SHORTEST_OFF_SHARE * n_slots)
    begins = rng.integers(0, n_slots - shortest + 1, size=(n_days, 1))
    lasts = rng.integers(shortest, n_slots + 1, size=(n_days, 1))
    slot = np.arange(n_slots)
    return np.where((slot >= begins) & (slot < begins + lasts), 0.0, days)


def _scale_slots(days: F64, rng: np.random.Generator) -> F64:
    """Return days of which every slot is scaled by a factor of its own."""
    return days * _draw_factors(rng, (len(days), days.shape[1]))


def _flatten_day(days: F64, rng: np.random.Generator) -> F64:
    """Return the day's mean in every slot, each scaled by a factor of its own."""
    mean: F64 = days.mean(axis=1, keepdims=True)
    return mean * _draw_factors(rng, (len(days), days.shape[1]))


def _reverse_day(days: F64, rng: np.random.Generator) -> F64:
    """Return the day's last slot first: what was drawn in dear hours seems drawn in cheap ones."""
    backwards: F64 = days[:, ::-1]
    return backwards


def _scale_night(days: F64, rng: np.random.Generator) -> F64:
    """Return days of which the hours of the night are scaled by one factor."""
    return np.where(is_night(days.shape[1]), days * _draw_factors(rng, (len(days), 1)), days)


ATTACKS: dict[str, Attack] = {
    "scaling": _scale_day,
    "on_off": _silence_span,
    "per_slot": _scale_slots,
    "flat_mean": _flatten_day,
    "reversed": _reverse_day,
    "night_time": _scale_night,
}
"""The kinds, in the order of every array that has a column per attack."""
