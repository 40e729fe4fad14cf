"""Messages: the same key for the same alert, and waits that grow and end."""

from datetime import UTC, datetime, timedelta

from smartgrid_core.alerts.messages import (
    LONGEST_WAIT,
    MOST_ATTEMPTS,
    build_alert_payload,
    derive_message_id,
    plan_next_attempt,
)

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_message_keeps_its_key_and_another_recipient_has_another():
    keys = [
        derive_message_id("a1", channel="webhook", recipient=recipient)
        for recipient in ("x", "x", "y")
    ]
    assert keys[0] == keys[1] != keys[2]


def test_the_payload_says_the_alert_with_its_evidence():
    alert = {
        "alert_id": "a1",
        "dedupe_key": "limit:F1:2026-03-02",
        "alert_type": "threshold_exceeded",
        "severity": "warning",
        "subject_id": "F1",
        "message": "Feeder F1 may exceed its rating.",
        "metadata": '{"rating_kw": 100.0}',
        "state": "open",
        "opened_at": NOW,
        "closed_at": None,
    }
    assert build_alert_payload(alert) == {
        "alert_id": "a1",
        "alert_type": "threshold_exceeded",
        "severity": "warning",
        "subject_id": "F1",
        "message": "Feeder F1 may exceed its rating.",
        "opened_at": "2026-03-02T00:00:00+00:00",
        "metadata": {"rating_kw": 100.0},
    }


def test_a_delivered_message_rests():
    assert plan_next_attempt("delivered", attempts=3, now=NOW) == ("delivered", NOW)


def test_waits_double_up_to_an_hour_and_then_the_message_is_dead():
    ends = [plan_next_attempt("timeout", attempts=n, now=NOW) for n in range(1, MOST_ATTEMPTS + 1)]
    waits = [again - NOW for state, again in ends if state == "pending"]
    assert waits[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert max(waits) == LONGEST_WAIT
    assert sum(waits, timedelta(0)) == timedelta(hours=3, minutes=3, seconds=30)
    assert [state for state, _ in ends] == ["pending"] * (MOST_ATTEMPTS - 1) + ["dead"]
