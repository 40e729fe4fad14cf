"""Days of meters held against what came before them, one day of all meters after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from smartgrid_core.features.calendar import EPOCH, build_calendar_days
from smartgrid_ml.mining.theft.day_features import (
    COMPARISON_COLUMNS,
    MOVED_POSITIONS,
    Past,
    compare_with_past,
)
from smartgrid_ml.mining.theft.meter_days import Bools, Floats, MeterDays

PAST_DAYS = 56
"""Eight weeks: every weekday eight times, and not yet another season."""

LEAST_PAST_DAYS = 14
"""With a shorter past than two weeks nothing is said about a meter's day."""

CALENDAR = ("day_of_week", "is_weekend", "is_holiday")
WEATHER = ("temperature_c", "temperature_moved")

FEATURES = (
    *COMPARISON_COLUMNS,
    *(f"{COMPARISON_COLUMNS[place]}_against_peers" for place in MOVED_POSITIONS),
    *(f"{COMPARISON_COLUMNS[place]}_of_peers" for place in MOVED_POSITIONS),
    *CALENDAR,
    *WEATHER,
)
"""What the score of a day sees, in its order."""


@dataclass(frozen=True, slots=True)
class DayConditions:
    """What is the same for all meters of a day: float32, (n_days, ...), NaN where unknown.

    ``peers``: the median over meters of how far the day lies from what is usual, one column per
    place in MOVES; ``context``: columns CALENDAR and WEATHER.
    """

    peers: Floats
    context: Floats


@dataclass(frozen=True, slots=True)
class DayComparisons:
    """Days against their past: meter and day by position, (n,), and `compare`'s columns."""

    meter: NDArray[np.int64]
    day: NDArray[np.int64]
    columns: Floats

    def inputs(self, around: DayConditions) -> Floats:
        """Columns FEATURES of every row, (n, len(FEATURES))."""
        return build_day_features(self.columns, day=self.day, around=around)


def build_day_features(columns: Floats, *, day: NDArray[np.int64], around: DayConditions) -> Floats:
    """Columns FEATURES from those of `compare` and the surroundings of each row's day."""
    peers = around.peers[day]
    against = columns[:, list(MOVED_POSITIONS)] - peers
    return np.concatenate([columns, against, peers, around.context[day]], axis=1)


def build_day_context(
    days: Sequence[date],
    *,
    country: str | None,
    temperature_c: NDArray[np.float64] | None = None,
) -> Floats:
    """Columns CALENDAR and WEATHER, (n_days, 5); ``temperature_c``: mean of each day, (n_days,).

    `temperature_moved` is against the mean of the PAST_DAYS days before.
    """
    numbers = [(day - EPOCH).days for day in days]
    calendar = build_calendar_days(numbers, country=country)
    mean = np.full(len(days), np.nan) if temperature_c is None else temperature_c
    moved = np.full(len(days), np.nan)
    for day in range(1, len(days)):
        before = mean[max(0, day - PAST_DAYS) : day]
        if not np.isnan(before).all():
            moved[day] = mean[day] - np.nanmean(before)
    columns = [*(np.asarray(calendar[name]) for name in CALENDAR), mean, moved]
    return np.stack(columns, axis=1).astype(np.float32)


def select_pasts(
    meters: MeterDays, *, trusted: Bools, day: int
) -> tuple[NDArray[np.int64], Floats]:
    """Which meters can be judged on a day, (n,), and their pasts, (n, PAST_DAYS, n_slots), kWh.

    The last PAST_DAYS trusted days before it; the known ones over again where there are fewer, at
    least LEAST_PAST_DAYS.
    """
    before = trusted[:, :day] & meters.is_whole[:, :day]
    counted = before.sum(axis=1)
    rows = np.flatnonzero((counted >= LEAST_PAST_DAYS) & meters.is_whole[:, day])
    past = np.empty((len(rows), PAST_DAYS, meters.energy_kwh.shape[2]), dtype=np.float32)
    for number, row in enumerate(rows):
        last = np.flatnonzero(before[row])[-PAST_DAYS:]
        past[number] = meters.energy_kwh[row, np.resize(last, PAST_DAYS)]
    return rows, past


Variants = Callable[[Floats], Sequence[Floats]]
"""What is compared instead of the days (n, n_slots) of one day: one array (n, n_slots) each."""


def keep_days(days_kwh: Floats) -> Sequence[Floats]:
    """The days themselves."""
    return [days_kwh]


@dataclass(frozen=True, slots=True)
class ComparedDay:
    """One day of those meters that can be judged on it: positions of day and meters (n,).

    ``reported_kwh``: one array (n, n_slots) per variant; ``compared``: `compare`'s columns of each.
    """

    day: int
    meter: NDArray[np.int64]
    reported_kwh: Sequence[Floats]
    compared: Sequence[Floats]


def compare_day_by_day(
    meters: MeterDays,
    *,
    trusted: Bools,
    wanted: Bools | None = None,
    variants: Variants = keep_days,
) -> Iterator[ComparedDay]:
    """Day after day, every meter's day against its trusted past.

    ``trusted``, (n_meters, n_days), may be changed between two days: later days then no longer
    learn from what turned out to be suspicious. ``wanted``, of the same shape, leaves out days.
    """
    for day in range(len(meters.days)):
        some = np.ones(len(meters.meter_ids), dtype=bool) if wanted is None else wanted[:, day]
        if not some.any():
            continue
        asked = np.flatnonzero(some)
        among, past_kwh = select_pasts(meters.of(asked), trusted=trusted[asked], day=day)
        if not among.size:
            continue
        past, told = Past.of(past_kwh), variants(meters.energy_kwh[asked[among], day])
        yield ComparedDay(day, asked[among], told, [compare_with_past(days, past) for days in told])


def compare_clean_days(meters: MeterDays, *, wanted: Bools | None = None) -> DayComparisons:
    """Every day that has a past against that past, all of which is taken as clean."""
    trusted = np.ones(meters.energy_kwh.shape[:2], dtype=bool)
    met: list[NDArray[np.int64]] = []
    days: list[NDArray[np.int64]] = []
    columns: list[Floats] = []
    for seen in compare_day_by_day(meters, trusted=trusted, wanted=wanted):
        met.append(seen.meter)
        days.append(np.full(len(seen.meter), seen.day))
        columns.append(seen.compared[0])
    if not met:
        none = np.empty(0, dtype=np.int64)
        return DayComparisons(none, none, np.empty((0, len(COMPARISON_COLUMNS)), dtype=np.float32))
    return DayComparisons(np.concatenate(met), np.concatenate(days), np.concatenate(columns))


def measure_peer_moves(clean: DayComparisons, *, n_days: int) -> Floats:
    """`Surroundings.peers` as the compared meters tell them."""
    peers = np.full((n_days, len(MOVED_POSITIONS)), np.nan, dtype=np.float32)
    for day in np.unique(clean.day):
        peers[day] = np.median(clean.columns[clean.day == day][:, list(MOVED_POSITIONS)], axis=0)
    return peers
