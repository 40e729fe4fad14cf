"""The alert book on PostgreSQL: recorded once, delivered at least once, given up in the end."""

import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import psycopg
import pytest

from smartgrid_core.alerts.decide import build_failure_alert, decide_limit_alerts
from smartgrid_core.alerts.messages import derive_message_id
from smartgrid_core.contracts.alerts import (
    Alerts,
    LimitExceedances,
    NotificationAttempts,
    Outbox,
)
from smartgrid_core.protocols import Delivery, DeliveryReport
from smartgrid_io.postgres.alert_store import PostgresAlertStore, deliver_pending, record_alerts
from smartgrid_io.postgres.warehouse import PostgresWarehouse

NOW = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
RECIPIENT = "http://127.0.0.1:9/hook"


class Postbox:
    """A Notifier that keeps what it was given and ends each try as it is told."""

    def __init__(self, *outcomes: str) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[tuple[str, str, Mapping[str, Any], str]] = []

    def send(
        self, channel: str, recipient: str, payload: Mapping[str, Any], *, message_id: str
    ) -> Delivery:
        self.sent.append((channel, recipient, payload, message_id))
        outcome = self.outcomes.pop(0) if self.outcomes else "delivered"
        return Delivery(outcome, 200 if outcome == "delivered" else None, None, 1.5)


class ProcessDiedError(Exception):
    """Stands for a process that dies between the post and the mark."""


class CrashingPostbox(Postbox):
    def send(self, *args: Any, **options: Any) -> Delivery:
        super().send(*args, **options)
        raise ProcessDiedError


def failures(*runs: str) -> pl.DataFrame:
    return pl.concat(
        [
            build_failure_alert(job_name="refresh_days", run_id=run, error="boom", now=NOW)
            for run in runs
        ]
    )


@pytest.fixture
def url(warehouse: PostgresWarehouse) -> str:
    return warehouse.url


def record(url: str, alerts: pl.DataFrame, *, recipient: str | None = RECIPIENT) -> int:
    return record_alerts(url, alerts, channel="webhook", recipient=recipient)


def test_an_alert_is_recorded_once_with_one_message(warehouse: PostgresWarehouse, url: str):
    alerts = failures("r1", "r2")
    assert [record(url, alerts), record(url, alerts)] == [2, 0]
    assert warehouse.read(Alerts).sort("dedupe_key").to_dicts() == alerts.to_dicts()
    outbox = warehouse.read(Outbox)
    assert sorted(outbox["message_id"]) == sorted(
        derive_message_id(alert, channel="webhook", recipient=RECIPIENT)
        for alert in alerts["alert_id"]
    )
    assert outbox.select("state", "attempts", "recipient").unique().rows() == [
        ("pending", 0, RECIPIENT)
    ]


def test_without_a_recipient_alerts_are_on_record_and_nothing_waits(
    warehouse: PostgresWarehouse, url: str
):
    assert record(url, failures("r1"), recipient=None) == 1
    assert (warehouse.read(Alerts).height, warehouse.read(Outbox).height) == (1, 0)


def test_an_alert_without_its_message_is_not_recorded(warehouse: PostgresWarehouse, url: str):
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE outbox ADD CONSTRAINT closed CHECK (false)")
    with pytest.raises(psycopg.errors.CheckViolation):
        record(url, failures("r1"))
    assert warehouse.read(Alerts).height == 0


def test_a_delivered_message_is_not_sent_again(warehouse: PostgresWarehouse, url: str):
    record(url, failures("r1"))
    postbox = Postbox()
    reports = [deliver_pending(url, postbox, now=NOW) for _ in range(2)]
    assert reports == [DeliveryReport(1, 0, 0), DeliveryReport(0, 0, 0)]
    ((channel, recipient, payload, key),) = postbox.sent
    assert (channel, recipient) == ("webhook", RECIPIENT)
    assert payload["message"] == "Job refresh_days failed (run r1): boom"
    assert warehouse.read(NotificationAttempts).to_dicts() == [
        {
            "message_id": key,
            "attempt": 1,
            "tried_at": NOW,
            "outcome": "delivered",
            "status_code": 200,
            "detail": None,
            "duration_ms": 1.5,
        }
    ]


def test_a_message_is_tried_again_when_its_wait_is_over(warehouse: PostgresWarehouse, url: str):
    record(url, failures("r1"))
    postbox = Postbox("timeout")
    moments = [NOW, NOW + timedelta(seconds=29), NOW + timedelta(seconds=30)]
    reports = [deliver_pending(url, postbox, now=moment) for moment in moments]
    assert reports == [DeliveryReport(0, 1, 0), DeliveryReport(0, 0, 0), DeliveryReport(1, 0, 0)]
    assert len({key for *_, key in postbox.sent}) == 1
    assert warehouse.read(NotificationAttempts)["outcome"].to_list() == ["timeout", "delivered"]


def test_a_message_that_nobody_takes_is_dead_in_the_end(warehouse: PostgresWarehouse, url: str):
    record(url, failures("r1"))
    postbox = Postbox(*["refused"] * 9)
    for hour in range(5):
        deliver_pending(url, postbox, now=NOW + timedelta(hours=hour), most_attempts=3)
    assert len(postbox.sent) == 3
    assert warehouse.read(Outbox).select("state", "attempts").rows() == [("dead", 3)]


def test_a_death_between_post_and_mark_sends_again_with_the_same_key(
    warehouse: PostgresWarehouse, url: str
):
    record(url, failures("r1"))
    crashing, postbox = CrashingPostbox(), Postbox()
    with pytest.raises(ProcessDiedError):
        deliver_pending(url, crashing, now=NOW)
    assert warehouse.read(Outbox)["state"].to_list() == ["pending"]
    deliver_pending(url, postbox, now=NOW)
    assert postbox.sent == crashing.sent


def test_many_deliverers_send_every_message_once(url: str):
    runs = [f"r{number}" for number in range(30)]
    record(url, failures(*runs))
    postbox = Postbox()
    reports: list[DeliveryReport] = []
    threads = [
        threading.Thread(target=lambda: reports.append(deliver_pending(url, postbox, now=NOW)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(Counter(key for *_, key in postbox.sent).values()) == {1: 30}
    assert sum(report.delivered for report in reports) == 30


def test_many_recorders_open_one_alert(warehouse: PostgresWarehouse, url: str):
    alerts = failures("r1", "r2", "r3")
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(record(url, alerts))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 3
    assert (warehouse.read(Alerts).height, warehouse.read(Outbox).height) == (3, 3)


def test_from_exceedance_to_message_and_nothing_on_the_second_look(url: str):
    rows = LimitExceedances.validate(
        pl.DataFrame(
            {
                "feeder_id": ["F1"],
                "issue_time": [NOW.replace(minute=0)],
                "hour_start": [NOW.replace(hour=18, minute=0)],
                "rating_kw": [400.0],
                "p50_kw": [452.0],
                "p90_kw": [480.0],
                "probability": [0.87],
                "model": ["load_forecaster"],
            },
            schema=LimitExceedances.create_empty().schema,
        )
    )
    postbox = Postbox()
    book = PostgresAlertStore(url, postbox, RECIPIENT)
    counts = []
    for _ in range(2):
        alerts = decide_limit_alerts(
            rows, now=NOW, timezone=ZoneInfo("Europe/Tirane"), open_alerts=book.read_open_alerts()
        )
        counts.append(
            (book.record(alerts), len(book.list_due(now=NOW)), book.deliver(now=NOW).delivered)
        )
    assert counts == [(1, 1, 1), (0, 0, 0)]
    assert postbox.sent[0][2]["message"] == (
        "Feeder F1 may exceed its rating of 400 kW on 2026-03-02 from 19:00 to 20:00 "
        "(Europe/Tirane): 452 kW expected at the peak, 113% of the rating (P90 480 kW); "
        "probability up to 87%."
    )
