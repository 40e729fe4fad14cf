"""Exceedances ask for alerts, waiting messages for deliveries."""

import json
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl
import pytest

from sensors.alerts import choose_issue_window, new_exceedances, waiting_messages
from sensors.polling import MOST_ATTEMPTS
from smartgrid_core.protocols import DeliveryReport
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window

NOW = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)


class Book:
    """An alert book in memory."""

    def __init__(self, due: list[str] | None = None) -> None:
        self.waiting = due or []

    def read_open_alerts(self) -> pl.DataFrame:
        raise AssertionError("a sensor decides nothing")

    def record(self, alerts: pl.DataFrame) -> int:
        raise AssertionError("a sensor records nothing")

    def list_due(self, *, now: datetime) -> list[str]:
        return self.waiting

    def deliver(self, *, now: datetime) -> DeliveryReport:
        raise AssertionError("a sensor delivers nothing")


class StillClock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def compute(instance):
    """Materialise a day of an asset."""

    def materialise(asset: str, day: str = "2026-03-02") -> None:
        instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=day))

    return materialise


def look(instance, *, cursor: str | None = None):
    return new_exceedances(
        dg.build_sensor_context(instance=instance, cursor=cursor),
        settings=Settings(_env_file=None, first_day=date(2026, 1, 1)),
        clock=StillClock(),
    )


def requested_days(result) -> list[str]:
    return [request.partition_key for request in result.run_requests]


def test_a_new_exceedance_asks_for_the_alerts_of_its_issue_day(instance, compute):
    compute("limit_exceedances")
    result = look(instance)
    assert requested_days(result) == ["2026-03-02"]
    (fact,) = json.loads(result.cursor)
    assert fact.startswith("2026-03-02#")


def test_an_exceedance_whose_alerts_were_decided_asks_for_nothing(instance, compute):
    compute("limit_exceedances")
    compute("alerts")
    result = look(instance)
    assert (result.run_requests, result.cursor) == ([], "{}")


def test_exceedances_that_are_computed_again_ask_again(instance, compute):
    compute("limit_exceedances")
    first = look(instance)
    compute("alerts")
    compute("limit_exceedances")
    again = look(instance, cursor=first.cursor)
    assert requested_days(again) == ["2026-03-02"]
    assert again.run_requests[0].run_key != first.run_requests[0].run_key


def test_yesterdays_and_todays_exceedances_ask_each_for_its_own_day(instance, compute):
    compute("limit_exceedances", "2026-03-02")
    compute("limit_exceedances", "2026-03-01")
    assert requested_days(look(instance)) == ["2026-03-01", "2026-03-02"]


def test_alerts_that_cannot_be_decided_are_given_up(instance, compute):
    compute("limit_exceedances")
    cursor, requests = None, []
    for _ in range(5):
        result = look(instance, cursor=cursor)
        cursor, requests = result.cursor, [*requests, *result.run_requests]
    assert len({request.run_key for request in requests}) == len(requests) == MOST_ATTEMPTS


def test_exceedances_of_long_ago_ask_for_nothing(instance, compute):
    compute("limit_exceedances", "2026-02-21")
    assert look(instance).run_requests == []


def test_while_alerts_are_recorded_nothing_is_requested(instance, compute):
    compute("limit_exceedances")
    instance.add_run(
        dg.DagsterRun(job_name="raise_alerts", run_id="r1", status=dg.DagsterRunStatus.STARTED)
    )
    assert isinstance(look(instance), dg.SkipReason)


def test_the_present_of_a_closed_data_set_is_its_end():
    assert choose_issue_window(now=NOW, last_day=date(2026, 2, 1)) == Window.of_days(
        date(2026, 2, 1), date(2026, 2, 2)
    )


def test_waiting_messages_ask_for_a_delivery_under_a_new_key_each_time(instance):
    first = waiting_messages(
        dg.build_sensor_context(instance=instance),
        alert_store=Book(due=["m1#0"]),
        clock=StillClock(),
    )
    again = waiting_messages(
        dg.build_sensor_context(instance=instance, cursor=first.cursor),
        alert_store=Book(due=["m1#0"]),
        clock=StillClock(),
    )
    keys = {request.run_key for result in (first, again) for request in result.run_requests}
    assert len(keys) == 2


def test_an_empty_outbox_asks_for_nothing(instance):
    result = waiting_messages(
        dg.build_sensor_context(instance=instance), alert_store=Book(), clock=StillClock()
    )
    assert result.run_requests == []


def test_while_messages_are_delivered_nothing_is_requested(instance):
    instance.add_run(
        dg.DagsterRun(job_name="deliver_alerts", run_id="r1", status=dg.DagsterRunStatus.STARTED)
    )
    result = waiting_messages(
        dg.build_sensor_context(instance=instance),
        alert_store=Book(due=["m1#0"]),
        clock=StillClock(),
    )
    assert isinstance(result, dg.SkipReason)
