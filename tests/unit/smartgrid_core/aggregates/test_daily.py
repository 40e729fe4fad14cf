from datetime import UTC, date, datetime

import pytest

from smartgrid_core.aggregates.daily import sum_daily_consumption
from smartgrid_core.contracts.aggregates import DailyConsumption


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2025, 3, 30), 23), (date(2025, 6, 1), 24), (date(2025, 10, 26), 25)],
)
def test_a_local_day_is_as_long_as_its_clock_says(consumption, day, hours):
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    energies = consumption(*(("a", hour, 1.0) for hour in range(-40, 40)), noon=noon)
    daily = sum_daily_consumption(energies, timezone="Europe/Tirane", days=[day])
    assert daily.to_dicts() == [
        {
            "meter_id": "a",
            "local_day": day,
            "energy_kwh": float(hours),
            "estimated_kwh": 0.0,
            "hours": hours,
            "covered_hours": float(hours),
        }
    ]


def test_a_day_that_is_covered_in_part_says_so(consumption):
    energies = consumption(("a", 0, 1.0), ("a", 0.25, 0.5, "gap"), interval_minutes=15)
    daily = sum_daily_consumption(energies, timezone="Europe/Tirane")
    assert daily.rows() == [("a", date(2025, 3, 1), 1.5, 0.5, 24, 0.5)]


def test_all_local_days_that_appear_are_taken_unless_some_are_named(consumption):
    energies = consumption(("a", 10.75, 1.0), ("a", 11.25, 2.0), ("b", 0, 3.0), interval_minutes=15)
    assert sum_daily_consumption(energies, timezone="Europe/Tirane").select(
        "meter_id", "local_day", "energy_kwh"
    ).rows() == [
        ("a", date(2025, 3, 1), 1.0),
        ("a", date(2025, 3, 2), 2.0),
        ("b", date(2025, 3, 1), 3.0),
    ]


def test_no_energy_makes_an_empty_table(consumption):
    daily = sum_daily_consumption(consumption().lazy(), timezone="Europe/Tirane")
    assert DailyConsumption.is_valid(daily)
    assert daily.is_empty()
