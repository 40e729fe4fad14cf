"""Days of meters held against what came before them, one day of all meters after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from smartgrid_core.arrays import F32, F64, I64, Bool
from smartgrid_core.features.calendar import EPOCH_DAY, build_calendar_days
from smartgrid_ml.mining.theft.day_features import (
    COMPARISON_COLUMNS,
    MOVED_POSITIONS,
    Past,
    compare_with_past,
)
from smartgrid_ml.mining.theft.meter_days import MeterDays

PAST_DAYS = 56
"""Eight weeks: every weekday eight times, and not yet another season."""

LEAST_PAST_DAYS = 14
"""With a shorter past than two weeks a meter's day is not judged."""

CALENDAR = ("day_of_week", "is_weekend", "is_holiday")
WEATHER = ("temperature_c", "temperature_moved")

FEATURES = (
    *COMPARISON_COLUMNS,
    *(f"{COMPARISON_COLUMNS[place]}_against_peers" for place in MOVED_POSITIONS),
    *(f"{COMPARISON_COLUMNS[place]}_of_peers" for place in MOVED_POSITIONS),
    *CALENDAR,
    *WEATHER,
)
"""What the score of a day is computed from, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class DayConditions:
    """What is the same for all meters on a day; NaN where it is not known."""

    peers: F32
    """The median over meters of how far the day lies from what is usual, a natural logarithm,
    (n_days, len(MOVED_POSITIONS)); column 0 is the day's total."""
    context: F32
    """Columns CALENDAR and WEATHER, (n_days, 5)."""

    def select_total_moves(self, days: slice = slice(None)) -> F64:
        """Return how far the total of the peers' days lies from what is usual, (n_days,)."""
        return self.peers[days, 0].astype(np.float64)


@dataclass(frozen=True, slots=True)
class DayComparisons:
    """Days of meters against their own pasts, a row per meter and day."""

    meter: I64
    """Position of the meter, (n,)."""
    day: I64
    """Position of the day, (n,)."""
    columns: F32
    """COMPARISON_COLUMNS, (n, len(COMPARISON_COLUMNS))."""


def build_day_features(columns: F32, *, day: I64, conditions: DayConditions) -> F32:
    """Return columns FEATURES, float32 (n, len(FEATURES)).

    ``columns``: COMPARISON_COLUMNS, (n, len(COMPARISON_COLUMNS)); ``day``: the position of each
    row's day in ``conditions``, (n,).
    """
    peers = conditions.peers[day]
    against_peers = columns[:, list(MOVED_POSITIONS)] - peers
    return np.concatenate([columns, against_peers, peers, conditions.context[day]], axis=1)


def build_day_context(
    days: Sequence[date], *, country: str | None, temperature_c: F64 | None = None
) -> F32:
    """Return columns CALENDAR and WEATHER of consecutive days, float32 (n_days, 5).

    ``country``: whose public holidays count (ISO 3166, "GB-ENG" for a part), None for no holidays;
    ``temperature_c``: mean of each day, (n_days,), NaN is missing. `temperature_moved` is against
    the mean of the PAST_DAYS days before.
    """
    numbers = [(day - EPOCH_DAY).days for day in days]
    calendar = build_calendar_days(numbers, country=country)
    mean = np.full(len(days), np.nan) if temperature_c is None else temperature_c
    moved = np.full(len(days), np.nan)
    for day in range(1, len(days)):
        before = mean[max(0, day - PAST_DAYS) : day]
        if not np.isnan(before).all():
            moved[day] = mean[day] - np.nanmean(before)
    columns = [*(np.asarray(calendar[name]) for name in CALENDAR), mean, moved]
    return np.stack(columns, axis=1).astype(np.float32)


def select_pasts(meters: MeterDays, *, trusted: Bool, day: int) -> tuple[I64, F32]:
    """Return which meters can be judged on a day, (n,), and their pasts, (n, PAST_DAYS, n_slots).

    A past is the last PAST_DAYS days before `day` that are whole and ``trusted``, (n_meters,
    n_days), in kWh; at least LEAST_PAST_DAYS, which are repeated where there are fewer than
    PAST_DAYS.
    """
    before = trusted[:, :day] & meters.is_whole[:, :day]
    n_before = before.sum(axis=1)
    rows = np.flatnonzero((n_before >= LEAST_PAST_DAYS) & meters.is_whole[:, day])
    past = np.empty((len(rows), PAST_DAYS, meters.energy_kwh.shape[2]), dtype=np.float32)
    for number, row in enumerate(rows):
        last = np.flatnonzero(before[row])[-PAST_DAYS:]
        past[number] = meters.energy_kwh[row, np.resize(last, PAST_DAYS)]
    return rows, past


DayVariants = Callable[[F32], Sequence[F32]]
"""Makes of one day (n, n_slots) of all meters the days that are compared in its place, each
(n, n_slots)."""


def keep_days(days_kwh: F32) -> Sequence[F32]:
    """Return the days themselves, as the only variant."""
    return [days_kwh]


@dataclass(frozen=True, slots=True)
class ComparedDay:
    """One day of those meters that can be judged on it."""

    day: int
    """Position of the day."""
    meter: I64
    """Positions of the meters, (n,)."""
    reported_kwh: Sequence[F32]
    """What the meters counted, one array (n, n_slots) per variant."""
    columns: Sequence[F32]
    """COMPARISON_COLUMNS of each variant, (n, len(COMPARISON_COLUMNS))."""


def compare_day_by_day(
    meters: MeterDays,
    *,
    trusted: Bool,
    wanted: Bool | None = None,
    variants: DayVariants = keep_days,
) -> Iterator[ComparedDay]:
    """Yield day after day, in order, every meter's day against its trusted past.

    Args:
        meters: The days of the meters.
        trusted: Which days count as a past, (n_meters, n_days). It may be changed between two
            days: later days then no longer learn from what turned out to be suspicious.
        wanted: Which days are compared, (n_meters, n_days); None for all.
        variants: What is compared in place of each day; the past stays as it is.
    """
    for day in range(len(meters.days)):
        is_wanted = np.ones(len(meters.meter_ids), bool) if wanted is None else wanted[:, day]
        if not is_wanted.any():
            continue
        candidates = np.flatnonzero(is_wanted)
        has_past, past_kwh = select_pasts(
            meters.select(candidates), trusted=trusted[candidates], day=day
        )
        if not has_past.size:
            continue
        judged = candidates[has_past]
        past, reported = Past.from_kwh(past_kwh), variants(meters.energy_kwh[judged, day])
        columns = [compare_with_past(days, past) for days in reported]
        yield ComparedDay(day, judged, reported, columns)


def compare_clean_days(meters: MeterDays, *, wanted: Bool | None = None) -> DayComparisons:
    """Return every day that has a past against that past, all of which is taken as clean.

    ``wanted``: which days are compared, (n_meters, n_days); None for all.
    """
    trusted = np.ones(meters.energy_kwh.shape[:2], dtype=bool)
    compared = list(compare_day_by_day(meters, trusted=trusted, wanted=wanted))
    if not compared:
        none = np.empty(0, dtype=np.int64)
        return DayComparisons(none, none, np.empty((0, len(COMPARISON_COLUMNS)), dtype=np.float32))
    return DayComparisons(
        np.concatenate([each.meter for each in compared]),
        np.concatenate([np.full(len(each.meter), each.day) for each in compared]),
        np.concatenate([each.columns[0] for each in compared]),
    )


def measure_peer_moves(clean: DayComparisons, *, n_days: int) -> F32:
    """Return `DayConditions.peers`: the medians over the meters of each day."""
    peers = np.full((n_days, len(MOVED_POSITIONS)), np.nan, dtype=np.float32)
    for day in np.unique(clean.day):
        peers[day] = np.median(clean.columns[clean.day == day][:, list(MOVED_POSITIONS)], axis=0)
    return peers
