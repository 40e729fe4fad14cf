"""Exceedances ask for alerts, waiting messages for deliveries."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import dataframely as dy
import polars as pl
import pytest

from sensors.alerts import choose_issue_window, new_exceedances, waiting_messages
from sensors.polling import MOST_ATTEMPTS
from smartgrid_assets.alerts.assets import alerts
from smartgrid_assets.partitions import DAY
from smartgrid_core.alerts.record_names import JUDGED_FROM, JUDGED_TO
from smartgrid_core.contracts.alerts import Alerts, LimitExceedances
from smartgrid_core.protocols import DeliveryReport
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window

NOW = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
TODAY = "2026-03-02"
SETTINGS = Settings(_env_file=None, first_day=date(2026, 1, 1))


class Book:
    """An alert book in memory; whatever is recorded is new."""

    def __init__(self, due: list[str] | None = None) -> None:
        self.waiting = due or []

    def read_open_alerts(self) -> pl.DataFrame:
        return Alerts.create_empty()

    def record(self, alerts: pl.DataFrame) -> int:
        return alerts.height

    def list_due(self, *, now: datetime) -> list[str]:
        return self.waiting

    def deliver(self, *, now: datetime) -> DeliveryReport:
        raise AssertionError("a sensor delivers nothing")


class StillClock:
    def now(self) -> datetime:
        return NOW


class Store:
    """A warehouse in memory that has exceedances of one feeder."""

    def __init__(self) -> None:
        self.rows = LimitExceedances.create_empty()
        self.while_reading: Callable[[], None] | None = None

    def write(self, *days: str) -> None:
        """Make an hour of each of these issue days all that may cross its rating."""
        midnights = [datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in days]
        self.rows = LimitExceedances.validate(
            pl.DataFrame(
                {
                    "feeder_id": "F1",
                    "issue_time": midnight,
                    "hour_start": midnight + timedelta(hours=18),
                    "rating_kw": 400.0,
                    "p50_kw": 452.0,
                    "p90_kw": 480.0,
                    "probability": 0.87,
                    "model": "load_forecaster",
                }
                for midnight in midnights
            ),
            cast=True,
        )

    def read(self, schema: type[dy.Schema], *, window: Window) -> pl.DataFrame:
        assert schema is LimitExceedances
        rows = self.rows
        if self.while_reading is not None:
            self.while_reading()
        return rows.filter(pl.col("issue_time").is_between(window.start, window.end, closed="left"))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def compute(instance, store):
    """Compute the exceedances of a day: rows, then the event."""

    def materialise(day: str = TODAY, *more: str) -> None:
        store.write(day, *more)
        report(instance, "limit_exceedances", day)

    return materialise


@pytest.fixture
def look(instance, store):
    def tick(cursor: str | None = None):
        return new_exceedances(
            dg.build_sensor_context(instance=instance, cursor=cursor),
            warehouse=store,
            settings=SETTINGS,
            clock=StillClock(),
        )

    return tick


@pytest.fixture
def decide(instance, store):
    """Have the asset decide upon a day's exceedances."""

    def run(day: str = TODAY) -> None:
        result = dg.materialize(
            [alerts],
            partition_key=day,
            instance=instance,
            resources={
                "warehouse": store,
                "alert_store": Book(),
                "settings": SETTINGS,
                "clock": StillClock(),
            },
        )
        assert result.success

    return run


@pytest.fixture
def judge(instance):
    """Evaluate the check on the ground of exceedances."""

    def report_verdict(
        *, passed: bool, day: str = TODAY, severity=dg.AssetCheckSeverity.ERROR
    ) -> None:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey("limit_exceedances"),
                check_name="exceedances_have_ground",
                passed=passed,
                severity=severity,
                description="1 rows have no forecast of the same issue: F1",
                metadata={JUDGED_FROM: day, JUDGED_TO: day},
            )
        )

    return report_verdict


def report(instance: dg.DagsterInstance, asset: str, day: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=day))


def requested_days(result) -> list[str]:
    return [request.partition_key for request in result.run_requests]


def test_a_new_exceedance_asks_for_the_alerts_of_its_issue_day(compute, look):
    compute()
    result = look()
    assert requested_days(result) == [TODAY]
    (fact,) = json.loads(result.cursor)
    assert fact.startswith(f"{TODAY}#")


def test_once_alerts_are_decided_two_looks_ask_for_nothing(compute, look, decide):
    compute()
    first = look()
    decide()
    second = look(first.cursor)
    third = look(second.cursor)
    assert [second.run_requests, third.run_requests] == [[], []]
    assert (second.cursor, third.cursor) == ("{}", "{}")


def test_exceedances_that_are_computed_again_ask_again(compute, look, decide):
    compute()
    first = look()
    decide()
    compute()
    again = look(first.cursor)
    assert requested_days(again) == [TODAY]
    assert again.run_requests[0].run_key != first.run_requests[0].run_key


def test_exceedances_computed_while_alerts_are_decided_ask_again(compute, look, decide, store):
    compute()
    first = look()
    store.while_reading = lambda: (setattr(store, "while_reading", None), compute())
    decide()
    between = look(first.cursor)
    decide()
    after = look(between.cursor)
    assert (requested_days(between), requested_days(after)) == ([TODAY], [])


def test_a_day_without_exceedances_asks_for_nothing(instance, look):
    report(instance, "limit_exceedances", TODAY)
    result = look()
    assert (result.run_requests, result.skip_reason.skip_message) == (
        [],
        "no exceedances wait for a decision",
    )


def test_exceedances_that_the_event_log_has_lost_are_decided_once(store, look, decide):
    store.write(TODAY)
    first = look()
    decide()
    second = look(first.cursor)
    assert (requested_days(first), requested_days(second)) == ([TODAY], [])


def test_decided_exceedances_whose_events_were_wiped_ask_for_nothing(
    instance, compute, look, decide
):
    compute()
    decide()
    instance.wipe_assets([dg.AssetKey("limit_exceedances")])
    assert look().run_requests == []
    compute()
    assert requested_days(look()) == [TODAY]


def test_alerts_that_do_not_say_what_they_rest_on_are_decided_once_more(instance, compute, look):
    compute()
    report(instance, "alerts", TODAY)
    assert requested_days(look()) == [TODAY]


def test_yesterdays_and_todays_exceedances_ask_each_for_its_own_day(compute, look):
    compute(TODAY, "2026-03-01")
    assert requested_days(look()) == ["2026-03-01", TODAY]


def test_a_range_of_days_that_is_decided_in_one_run_asks_for_no_day_of_it(instance, store, look):
    days = ["2026-03-01", TODAY]
    store.write(*days)
    for day in days:
        report(instance, "limit_exceedances", day)
    result = dg.materialize(
        [alerts],
        tags={
            "dagster/asset_partition_range_start": days[0],
            "dagster/asset_partition_range_end": days[1],
        },
        instance=instance,
        resources={
            "warehouse": store,
            "alert_store": Book(),
            "settings": SETTINGS,
            "clock": StillClock(),
        },
    )
    assert result.success
    assert look().run_requests == []


def test_exceedances_without_ground_wait_until_the_check_passes(compute, look, judge):
    compute()
    judge(passed=False)
    held = look()
    judge(passed=True)
    released = look(held.cursor)
    assert (held.run_requests, held.skip_reason.skip_message) == (
        [],
        f"{TODAY}: exceedances_have_ground failed (1 rows have no forecast of the same issue: F1)",
    )
    assert requested_days(released) == [TODAY]


def test_a_check_that_warns_or_judged_another_day_holds_nothing_back(compute, look, judge):
    compute()
    judge(passed=False, day="2026-03-01")
    judge(passed=False, severity=dg.AssetCheckSeverity.WARN)
    assert requested_days(look()) == [TODAY]


def test_exceedances_wait_for_the_check_of_their_own_run(instance, store, look):
    during: list[object] = []

    @dg.asset(partitions_def=DAY)
    def limit_exceedances() -> None:
        store.write(TODAY)

    @dg.asset_check(asset=limit_exceedances)
    def exceedances_have_ground() -> dg.AssetCheckResult:
        during.append(look())
        return dg.AssetCheckResult(passed=True)

    dg.materialize(
        [limit_exceedances, exceedances_have_ground], partition_key=TODAY, instance=instance
    )
    (waiting,) = during
    assert (waiting.run_requests, waiting.skip_reason.skip_message) == (
        [],
        f"{TODAY}: exceedances_have_ground is still to come",
    )
    assert requested_days(look(waiting.cursor)) == [TODAY]


def test_alerts_that_cannot_be_decided_are_given_up(compute, look):
    compute()
    cursor, requests = None, []
    for _ in range(5):
        result = look(cursor)
        cursor, requests = result.cursor, [*requests, *result.run_requests]
    assert len({request.run_key for request in requests}) == len(requests) == MOST_ATTEMPTS


def test_exceedances_of_long_ago_ask_for_nothing(compute, look):
    compute("2026-02-21")
    assert look().run_requests == []


def test_while_alerts_are_recorded_nothing_is_requested(instance, compute, look):
    compute()
    instance.add_run(
        dg.DagsterRun(job_name="raise_alerts", run_id="r1", status=dg.DagsterRunStatus.STARTED)
    )
    assert isinstance(look(), dg.SkipReason)


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
