"""What happens by the clock."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from smartgrid_assets.schedules import CLOSED, forecast_today, refresh_open_day
from smartgrid_core.settings import Settings


def at(moment: datetime, **settings: object) -> dg.ScheduleEvaluationContext:
    return dg.build_schedule_context(
        scheduled_execution_time=moment,
        resources={"settings": Settings(_env_file=None, **settings)},
    )


@pytest.mark.parametrize(
    ("tick", "day"),
    [
        (datetime(2026, 3, 2, 13, 10, tzinfo=UTC), "2026-03-02"),
        (datetime(2026, 3, 2, 0, 10, tzinfo=UTC), "2026-03-01"),
    ],
)
def test_the_refresh_is_about_the_day_of_the_hour_that_has_just_ended(tick, day):
    request = refresh_open_day(at(tick))
    assert request.partition_key == day


def test_the_forecast_is_about_the_day_that_has_begun():
    request = forecast_today(at(datetime(2026, 3, 2, 0, 30, tzinfo=UTC)))
    assert (request.partition_key, request.run_key) == ("2026-03-02", "forecast:2026-03-02")


def test_nothing_is_asked_for_outside_the_days_of_a_closed_data_set():
    assert forecast_today(at(datetime(2019, 3, 2, 0, 30, tzinfo=UTC))) == CLOSED


@pytest.mark.parametrize(
    ("tick", "day"),
    [
        (datetime(2026, 3, 3, 0, 10, tzinfo=UTC), "2026-03-02"),
        (datetime(2026, 3, 3, 1, 10, tzinfo=UTC), None),
    ],
)
def test_a_day_behind_the_last_readings_is_forecast_but_not_refreshed(tick, day):
    answer = refresh_open_day(at(tick, readings_end=date(2026, 3, 3)))
    assert answer == CLOSED if day is None else answer.partition_key == day
    assert forecast_today(at(datetime(2026, 3, 3, 0, 30, tzinfo=UTC))).partition_key == "2026-03-03"
