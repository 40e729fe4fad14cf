"""Exceedances ask for alerts, waiting messages for deliveries."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from sensors.alerts import choose_issue_window, new_exceedances, waiting_messages
from smartgrid_core.alerts.decide import decide_limit_alerts
from smartgrid_core.contracts.alerts import Alerts, LimitExceedances
from smartgrid_core.protocols import DeliveryReport
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window

NOW = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
MIDNIGHT = NOW.replace(minute=0)


def exceedances(*probabilities: float, feeder: str = "F1", issue: datetime = MIDNIGHT):
    return LimitExceedances.validate(
        pl.DataFrame(
            [
                {
                    "feeder_id": feeder,
                    "issue_time": issue,
                    "hour_start": issue + timedelta(hours=10 + number),
                    "rating_kw": 100.0,
                    "p50_kw": 105.0,
                    "p90_kw": 120.0,
                    "probability": probability,
                    "model": "load_forecaster",
                }
                for number, probability in enumerate(probabilities)
            ],
            schema=LimitExceedances.create_empty().schema,
        )
    )


class Forecasts:
    """A warehouse that knows nothing but exceedances."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows

    def read(self, schema: type, *, window: Window) -> pl.DataFrame:
        assert schema is LimitExceedances
        return self.rows.filter(
            pl.col("issue_time").is_between(window.start, window.end, closed="left")
        )


class Book:
    """An alert book in memory."""

    def __init__(self, alerts: pl.DataFrame | None = None, due: list[str] | None = None) -> None:
        self.alerts = Alerts.create_empty() if alerts is None else alerts
        self.waiting = due or []

    def read_open_alerts(self) -> pl.DataFrame:
        return self.alerts

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


def look(rows: pl.DataFrame, instance, *, book: Book | None = None, cursor: str | None = None):
    return new_exceedances(
        dg.build_sensor_context(instance=instance, cursor=cursor),
        warehouse=Forecasts(rows),
        alert_book=book or Book(),
        settings=Settings(_env_file=None, first_day=date(2026, 1, 1)),
        clock=StillClock(),
    )


def test_a_new_exceedance_asks_for_the_alerts_of_its_issue_day(instance):
    result = look(exceedances(0.8, 0.9), instance)
    assert [request.partition_key for request in result.run_requests] == ["2026-03-02"]
    assert result.cursor == '{"limit:F1:2026-03-02": 1}'


def test_an_exceedance_whose_alert_is_open_asks_for_nothing(instance):
    rows = exceedances(0.8)
    alerts = decide_limit_alerts(
        rows, now=NOW, timezone=Settings(_env_file=None).zone, open_alerts=None
    )
    result = look(rows, instance, book=Book(alerts))
    assert (result.run_requests, result.cursor) == ([], "{}")


def test_an_unlikely_exceedance_asks_for_nothing(instance):
    assert look(exceedances(0.2, 0.4), instance).run_requests == []


def test_an_alert_that_cannot_be_recorded_is_given_up(instance):
    assert look(exceedances(0.8), instance, cursor='{"limit:F1:2026-03-02": 3}').run_requests == []


def test_exceedances_of_long_ago_ask_for_nothing(instance):
    assert look(exceedances(0.8, issue=MIDNIGHT - timedelta(days=9)), instance).run_requests == []


def test_the_present_of_a_closed_data_set_is_its_end():
    assert choose_issue_window(now=NOW, last_day=date(2026, 2, 1)) == Window.of_days(
        date(2026, 2, 1), date(2026, 2, 2)
    )


def test_waiting_messages_ask_for_a_delivery_under_a_new_key_each_time(instance):
    first = waiting_messages(
        dg.build_sensor_context(instance=instance),
        alert_book=Book(due=["m1#0"]),
        clock=StillClock(),
    )
    again = waiting_messages(
        dg.build_sensor_context(instance=instance, cursor=first.cursor),
        alert_book=Book(due=["m1#0"]),
        clock=StillClock(),
    )
    keys = {request.run_key for result in (first, again) for request in result.run_requests}
    assert len(keys) == 2


def test_an_empty_outbox_asks_for_nothing(instance):
    result = waiting_messages(
        dg.build_sensor_context(instance=instance), alert_book=Book(), clock=StillClock()
    )
    assert result.run_requests == []


def test_while_messages_are_delivered_nothing_is_requested(instance):
    instance.add_run(
        dg.DagsterRun(job_name="deliver_alerts", run_id="r1", status=dg.DagsterRunStatus.STARTED)
    )
    result = waiting_messages(
        dg.build_sensor_context(instance=instance),
        alert_book=Book(due=["m1#0"]),
        clock=StillClock(),
    )
    assert isinstance(result, dg.SkipReason)
