"""What happens by the clock."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest
from dagster._core.events import (
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)

from smartgrid_assets.partitions import DAY
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


ALONE = ["load_forecast", "limit_exceedances"]
WITH_FEATURES = ["load_features", *ALONE]


def computed(instance, asset: str, day: str, *, at: str) -> None:
    """An asset's day was computed at a time of 2 March, or of another day of March: "1 23:10"."""
    of_month, clock = at.split() if " " in at else ("2", at)
    moment = datetime.fromisoformat(f"2026-03-{int(of_month):02} {clock}+00:00")
    event = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="",
        event_specific_data=StepMaterializationData(dg.AssetMaterialization(asset, partition=day)),
    )
    instance.report_dagster_event(event, run_id="", timestamp=moment.timestamp())


def asked_for(instance) -> list[str]:
    request = forecast_at(HALF_PAST_MIDNIGHT, instance)
    return [key.to_user_string() for key in request.asset_selection]


def test_features_that_followed_the_load_are_not_computed_again(instance):
    computed(instance, "weather", "2026-03-01", at="00:11")
    computed(instance, "feeder_load", "2026-03-01", at="00:12")
    computed(instance, "load_features", "2026-03-02", at="00:13")
    assert asked_for(instance) == ALONE


def test_a_forecast_whose_features_did_not_follow_computes_them(instance):
    computed(instance, "feeder_load", "2026-03-01", at="00:12")
    computed(instance, "load_features", "2026-03-01", at="00:13")
    assert asked_for(instance) == WITH_FEATURES


def test_features_older_than_the_load_are_computed_again(instance):
    computed(instance, "load_features", "2026-03-02", at="00:05")
    computed(instance, "feeder_load", "2026-03-01", at="00:12")
    assert asked_for(instance) == WITH_FEATURES


@pytest.mark.parametrize("asset", ["feeder_load", "weather"])
@pytest.mark.parametrize("day", ["2026-01-26", "2026-02-28", "2026-03-01"])
def test_late_readings_of_a_day_that_features_look_back_at_count(instance, asset, day):
    computed(instance, "feeder_load", "2026-03-01", at="00:12")
    computed(instance, "load_features", "2026-03-02", at="00:13")
    computed(instance, asset, day, at="00:20")
    assert asked_for(instance) == WITH_FEATURES


def test_late_readings_of_a_day_that_no_feature_looks_back_at_do_not(instance):
    computed(instance, "feeder_load", "2026-03-01", at="00:12")
    computed(instance, "load_features", "2026-03-02", at="00:13")
    computed(instance, "feeder_load", "2026-01-25", at="00:20")
    assert asked_for(instance) == ALONE


def test_load_from_before_midnight_misses_hours(instance):
    computed(instance, "feeder_load", "2026-03-01", at="1 23:12")
    computed(instance, "load_features", "2026-03-02", at="00:13")
    assert asked_for(instance) == WITH_FEATURES


def test_load_that_came_while_features_were_computed_is_not_in_them(instance):
    arrived = []

    @dg.asset(partitions_def=DAY)
    def load_features() -> None:
        if not arrived:
            load = dg.AssetMaterialization("feeder_load", partition="2026-03-01")
            arrived.append(instance.report_runless_asset_event(load))

    answers = []
    for _ in range(2):
        dg.materialize([load_features], instance=instance, partition_key="2026-03-02")
        answers.append(asked_for(instance))
    assert answers == [WITH_FEATURES, ALONE]


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
