"""Local calendar days as numbers: weekday, season and public holidays, one row per day."""

import math
from collections.abc import Iterable
from datetime import date, timedelta

EPOCH_DAY = date(1970, 1, 1)
"""Local days are counted from here, so that a day is an integer that every engine can join on."""

HOLIDAY_REACH = 7
"""Days around a holiday that feel it; a distance is cut off here."""

CALENDAR_FEATURES = (
    "day_of_week",
    "day_of_year_sin",
    "day_of_year_cos",
    "is_weekend",
    "is_holiday",
    "is_day_before_holiday",
    "is_day_after_holiday",
    "is_holiday_week_ago",
    "days_since_holiday",
    "days_to_holiday",
)


def list_public_holidays(first: date, last: date, *, country: str | None) -> frozenset[date]:
    """Return the public holidays of a country from `first` to `last`, both included.

    `country` is an ISO 3166 code, also with a part (`US-NY`); None has no holidays.

    Raises:
        ValueError: There is no calendar for the country.

    >>> days = list_public_holidays(date(2026, 1, 1), date(2026, 1, 31), country="DE")
    >>> [day.isoformat() for day in days]
    ['2026-01-01']
    """
    if country is None:
        return frozenset()
    import holidays

    name, _, subdivision = country.partition("-")
    years = range(first.year, last.year + 1)
    try:
        calendar = holidays.country_holidays(name, subdiv=subdivision or None, years=years)
    except NotImplementedError as error:
        raise ValueError(
            f"country {country!r}: no holiday calendar; give an ISO 3166 code such as AL or US-NY"
        ) from error
    return frozenset(day for day in calendar if first <= day <= last)


def build_calendar_days(days: Iterable[int], *, country: str | None) -> dict[str, list[float]]:
    """Return the columns of CALENDAR_FEATURES and `local_day`, one row per distinct day, in order.

    `days` and `local_day` count days since 1970-01-01. Monday is 0. Flags are 0.0 or 1.0;
    distances to a holiday are in days, 0 on the holiday, at most HOLIDAY_REACH.

    >>> build_calendar_days([0], country=None)["day_of_week"]
    [3.0]
    """
    numbers = sorted(set(days))
    columns: dict[str, list[float]] = {"local_day": [float(number) for number in numbers]}
    columns |= {name: [] for name in CALENDAR_FEATURES}
    if not numbers:
        return columns
    reach = timedelta(days=HOLIDAY_REACH)
    first, last = (EPOCH_DAY + timedelta(days=number) for number in (numbers[0], numbers[-1]))
    holidays = list_public_holidays(first - reach, last + reach, country=country)
    for number in numbers:
        for name, value in _describe_day(EPOCH_DAY + timedelta(days=number), holidays).items():
            columns[name].append(value)
    return columns


def _describe_day(day: date, holidays: frozenset[date]) -> dict[str, float]:
    """Return the values of CALENDAR_FEATURES of one local day."""

    def distance(step: int) -> float:
        near = (n for n in range(HOLIDAY_REACH) if day + timedelta(days=n * step) in holidays)
        return float(next(near, HOLIDAY_REACH))

    def is_holiday(shift: int) -> float:
        return float(day + timedelta(days=shift) in holidays)

    season = 2 * math.pi * (day.timetuple().tm_yday - 1) / 365.25
    return {
        "day_of_week": float(day.weekday()),
        "day_of_year_sin": math.sin(season),
        "day_of_year_cos": math.cos(season),
        "is_weekend": float(day.weekday() >= 5),
        "is_holiday": is_holiday(0),
        "is_day_before_holiday": is_holiday(1),
        "is_day_after_holiday": is_holiday(-1),
        "is_holiday_week_ago": is_holiday(-7),
        "days_since_holiday": distance(-1),
        "days_to_holiday": distance(1),
    }
