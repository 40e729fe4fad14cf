"""What happens by the clock."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from smartgrid_assets.schedules import CLOSED, forecast_today, refresh_open_day
from smartgrid_core.settings import Settings


@pytest.fixture
def instance(tmp_path):
    """A schedule reaches its instance by reference only: one on disk."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def forecast_at(moment: datetime, instance):
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=moment) as context:
        return forecast_today(context)


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


HALF_PAST_MIDNIGHT = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)


def test_the_forecast_is_about_the_day_that_has_begun(instance):
    request = forecast_at(HALF_PAST_MIDNIGHT, instance)
    assert (request.partition_key, request.run_key) == ("2026-03-02", "forecast:2026-03-02")


def test_features_that_followed_the_load_are_not_computed_again(instance):
    instance.report_runless_asset_event(
        dg.AssetMaterialization("load_features", partition="2026-03-02")
    )
    request = forecast_at(HALF_PAST_MIDNIGHT, instance)
    assert [key.to_user_string() for key in request.asset_selection] == [
        "load_forecast",
        "limit_exceedances",
    ]


def test_a_forecast_whose_features_did_not_follow_computes_them(instance):
    instance.report_runless_asset_event(
        dg.AssetMaterialization("load_features", partition="2026-03-01")
    )
    request = forecast_at(HALF_PAST_MIDNIGHT, instance)
    assert [key.to_user_string() for key in request.asset_selection] == [
        "load_features",
        "load_forecast",
        "limit_exceedances",
    ]


def test_nothing_is_asked_for_outside_the_days_of_a_closed_data_set(instance):
    assert forecast_at(datetime(2019, 3, 2, 0, 30, tzinfo=UTC), instance) == CLOSED


@pytest.mark.parametrize(
    ("tick", "day"),
    [
        (datetime(2026, 3, 3, 0, 10, tzinfo=UTC), "2026-03-02"),
        (datetime(2026, 3, 3, 1, 10, tzinfo=UTC), None),
    ],
)
def test_a_day_behind_the_last_readings_is_forecast_but_not_refreshed(tick, day, instance):
    answer = refresh_open_day(at(tick, readings_end=date(2026, 3, 3)))
    assert answer == CLOSED if day is None else answer.partition_key == day
    request = forecast_at(datetime(2026, 3, 3, 0, 30, tzinfo=UTC), instance)
    assert request.partition_key == "2026-03-03"
