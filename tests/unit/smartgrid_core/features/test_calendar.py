from datetime import date

import pytest

from smartgrid_core.features.calendar import EPOCH_DAY, build_calendar_days, list_public_holidays


def number(day: date) -> int:
    return (day - EPOCH_DAY).days


def test_albanian_holidays_are_flagged_with_the_days_around_them():
    days = [date(2025, 11, n) for n in range(26, 31)]
    table = build_calendar_days(map(number, days), country="AL")
    assert table["local_day"] == [float(number(day)) for day in days]
    assert table["is_holiday"] == [0, 0, 1, 1, 0]
    assert table["is_day_before_holiday"] == [0, 1, 1, 0, 1]
    assert table["is_day_after_holiday"] == [0, 0, 0, 1, 1]
    assert table["days_to_holiday"][:4] == [2, 1, 0, 0]
    assert table["days_since_holiday"][2:] == [0, 0, 1]
    assert table["day_of_week"] == [2, 3, 4, 5, 6]
    assert table["is_weekend"] == [0, 0, 0, 1, 1]


def test_a_week_after_a_holiday_knows_that_last_week_was_one():
    table = build_calendar_days([number(date(2025, 12, 5))], country="AL")
    assert (table["is_holiday"], table["is_holiday_week_ago"]) == ([0], [1])


def test_days_are_sorted_and_counted_once():
    assert build_calendar_days([5, 3, 5], country=None)["local_day"] == [3, 5]
    assert build_calendar_days([], country=None)["local_day"] == []


def test_a_subdivision_adds_its_holidays():
    day = date(2025, 1, 2)
    assert list_public_holidays(day, day, country="GB-SCT") == {day}
    assert list_public_holidays(day, day, country="GB-ENG") == frozenset()


def test_an_unknown_country_is_named():
    with pytest.raises(ValueError, match="'XX': no holiday calendar"):
        list_public_holidays(date(2025, 1, 1), date(2025, 1, 2), country="XX")
