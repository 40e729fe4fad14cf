"""What every meter draws or feeds in, quarter-hour by quarter-hour: calendar, variation, noise."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from demo.grid import Grid
from smartgrid_core.time import DAY, Window, midnight

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP = timedelta(minutes=15)
STEPS_PER_DAY = 96
PROFILE_YEAR = 2016
CYCLE_DAYS = 364
"""52 weeks: a profile year wraps here, so that the weekday is kept."""
PROFILE_ZONE = ZoneInfo("Europe/Berlin")
LOCAL_ZONE = ZoneInfo("Europe/Tirane")
"""People follow the wall clock, so a profile is read at the wall time it was made for."""
SUN_MINUTES = 34
"""The sun is that much earlier in Tirana (19.82 E) than at SimBench's place (11.41 E)."""
NOISE_MINUTES = 45.0
"""How long a meter's own deviation lasts."""
DAY_SIGMA = 0.12
"""How far whole days of one meter differ from its profile, as a log deviation."""


def find_profile_day(day: date) -> int:
    """Return the day of the profile year, 0 to 363, that stands for `day`.

    It is the day of the same weekday that is nearest in the year: never more than three days off.

    >>> find_profile_day(date(2016, 1, 1))
    0
    """
    first = date(PROFILE_YEAR, 1, 1)
    of_year = day.timetuple().tm_yday - 1
    same_position = (first + timedelta(days=of_year)).weekday()
    to_weekday = (day.weekday() - same_position + 3) % 7 - 3
    return (of_year + to_weekday) % CYCLE_DAYS


def find_profile_steps(window: Window, *, wall_clock: bool) -> Ints:
    """Return the row of the profile year (UTC) for every quarter-hour of whole days.

    With `wall_clock` the local time of day is kept across both clock changes, else the UTC one.
    """
    steps: list[Ints] = []
    for day in window.days():
        position = find_profile_day(day)
        rows = position * STEPS_PER_DAY + np.arange(STEPS_PER_DAY, dtype=np.int64)
        if wall_clock:
            source = date(PROFILE_YEAR, 1, 1) + timedelta(days=position)
            here, there = (
                _compute_utc_offsets(day, LOCAL_ZONE),
                _compute_utc_offsets(source, PROFILE_ZONE),
            )
            rows = rows + (here - there)
        steps.append(rows)
    return np.concatenate(steps) % (CYCLE_DAYS * STEPS_PER_DAY)


def _compute_utc_offsets(day: date, zone: ZoneInfo) -> Ints:
    """Return the quarter-hours by which `zone` is ahead of UTC over a UTC day, (96,)."""
    start = midnight(day)
    hours = [(start + timedelta(hours=hour)).astimezone(zone).utcoffset() for hour in range(24)]
    return np.repeat([int((offset or timedelta(0)) / STEP) for offset in hours], 4)


def split_months(window: Window) -> Iterator[Window]:
    """Yield the calendar months that a window of whole days touches, each in full."""
    first = window.start.replace(day=1)
    while first < window.end:
        following = (first + 31 * DAY).replace(day=1)
        yield Window(first, following)
        first = following


def seed_generator(seed: int, *, purpose: str, month: datetime) -> np.random.Generator:
    """Return random numbers that depend on nothing but seed, purpose and calendar month."""
    return np.random.default_rng([seed, *purpose.encode(), month.year, month.month])


def draw_autoregressive(
    rng: np.random.Generator, *, series: int, steps: int, memory_steps: float
) -> Floats:
    """Return stationary first-order noise of unit variance, float64 (series, steps).

    The exact discretisation of an Ornstein-Uhlenbeck process.

    Args:
        rng: Source of the noise.
        series: Number of independent series.
        steps: Number of steps.
        memory_steps: Steps in which the autocorrelation falls to 1/e.
    """
    keep = float(np.exp(-1 / memory_steps))
    noise = rng.standard_normal((steps, series))
    noise[1:] *= np.sqrt(1 - keep * keep)
    for step in range(1, steps):
        noise[step] += keep * noise[step - 1]
    return noise.T


def generate_normal_power(
    grid: Grid, *, window: Window, seed: int
) -> Iterator[tuple[Window, Floats, Floats]]:
    """Yield active and reactive power of every meter without any fault, by calendar month.

    Yields the part of `window` in that month with active_kw and reactive_kvar, each float64 of
    shape (n_meters, n_steps), both positive in the direction that the meter counts: consumption,
    and for kind `pv` what is fed in. Value k holds from start + k * 15 min for 15 minutes.

    A month is always drawn in full from its own random numbers, so that what a meter does on a
    day does not depend on where the window begins or ends.
    """
    for month in split_months(window):
        active_kw, reactive_kvar = _generate_month_power(grid, month=month, seed=seed)
        part = Window(max(month.start, window.start), min(month.end, window.end))
        kept = slice(*(int((edge - month.start) / STEP) for edge in (part.start, part.end)))
        yield part, active_kw[:, kept], reactive_kvar[:, kept]


def _generate_month_power(grid: Grid, *, month: Window, seed: int) -> tuple[Floats, Floats]:
    """Return active and reactive power of one full month, each (n_meters, n_steps), kW and kvar."""
    by_wall = find_profile_steps(month, wall_clock=True)
    by_sun = find_profile_steps(month, wall_clock=False)
    count, steps = grid.meters.height, len(by_wall)
    rng = seed_generator(seed, purpose="load", month=month.start)
    noise = draw_autoregressive(
        rng, series=count, steps=steps, memory_steps=NOISE_MINUTES / (STEP / timedelta(minutes=1))
    )
    day_noise = rng.standard_normal((count, steps // STEPS_PER_DAY))
    active_kw, reactive_kvar = np.empty((count, steps)), np.empty((count, steps))
    for number, meter in enumerate(grid.meters.iter_rows(named=True)):
        is_sun = meter["customer_kind"] == "pv"
        minutes = meter["shift_minutes"] + (SUN_MINUTES if is_sun else 0)
        rows = (by_sun if is_sun else by_wall) + meter["shift_weeks"] * 7 * STEPS_PER_DAY
        sigma = meter["noise_sigma"]
        day_sigma = 0.0 if is_sun else DAY_SIGMA
        swing = sigma * noise[number] - sigma**2 / 2
        whole_day = day_sigma * day_noise[number] - day_sigma**2 / 2
        level = meter["level"] * np.exp(swing + np.repeat(whole_day, STEPS_PER_DAY))
        active = grid.read_profile(f"{meter['profile']}_p")
        reactive = grid.read_profile(f"{meter['profile']}_q")
        wanted = level * meter["rated_kw"] * _interpolate_profile(active, rows, minutes=minutes)
        active_kw[number] = np.maximum(wanted, 0.0) + meter["standby_w"] / 1e3
        reactive_kvar[number] = (
            level * meter["rated_kvar"] * _interpolate_profile(reactive, rows, minutes=minutes)
        )
    return active_kw, reactive_kvar


def _interpolate_profile(year: Floats, rows: Ints, *, minutes: int) -> Floats:
    """Return the profile `minutes` after `rows`, linear between quarter-hours, (n_steps,)."""
    length = CYCLE_DAYS * STEPS_PER_DAY
    whole, rest = divmod(minutes, 15)
    early, late = year[(rows + whole) % length], year[(rows + whole + 1) % length]
    return np.asarray(early + (late - early) * (rest / 15), dtype=np.float64)


def list_steps(window: Window) -> list[datetime]:
    """Return the start of every quarter-hour of the window, UTC."""
    count = int((window.end - window.start) / STEP)
    return [(window.start + STEP * number).astimezone(UTC) for number in range(count)]
