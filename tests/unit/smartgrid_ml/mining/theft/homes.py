"""Made-up homes whose habits repeat, for tests of what tells a tampered day."""

from datetime import date, timedelta

import numpy as np

from smartgrid_ml.mining.theft.day_comparison import build_day_context
from smartgrid_ml.mining.theft.meter_days import MeterDays

FIRST = date(2026, 3, 2)


def homes(count: int, *, days: int, n_slots: int = 24, seed: int = 1) -> MeterDays:
    """Homes with a level, an evening and a noise of their own; whole watt-hours."""
    rng = np.random.default_rng(seed)
    hour = np.arange(n_slots) * 24 / n_slots
    peak = rng.uniform(17, 21, size=(count, 1, 1))
    base = rng.uniform(0.1, 0.3, size=(count, 1, 1))
    shape = base + np.exp(-((hour[None, None, :] - peak) ** 2) / 6)
    level = rng.lognormal(-0.5, 0.4, size=(count, 1, 1))
    noise = rng.lognormal(0, 0.2, size=(count, days, n_slots))
    energy = np.round(level * shape * noise, 3).astype(np.float32)
    every = tuple(FIRST + timedelta(days=number) for number in range(days))
    return MeterDays(tuple(f"M{number:03}" for number in range(count)), every, energy)


def build_context(meters: MeterDays) -> np.ndarray:
    """Weekdays and no weather."""
    return build_day_context(meters.days, country=None)


def report_from(meters: MeterDays, *, row: int, since: int, energy_kwh: np.ndarray) -> MeterDays:
    """The same meters, one of which reports something else from a day on."""
    energy = meters.energy_kwh.copy()
    energy[row, since:] = energy_kwh
    return MeterDays(meters.meter_ids, meters.days, energy)
