"""Tables of what needs a person: limit exceedances, alerts, and the outbox that carries them."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

SEVERITIES = ("info", "warning", "critical")
CHANNELS = ("webhook", "email", "sms", "push")


class LimitExceedances(dy.Schema):
    """One row per (feeder_id, issue_time, hour_start) whose rating may be crossed.

    `probability` that mean power in the hour exceeds `rating_kw`; `p50_kw` and
    `p90_kw` are the forecast's.
    """

    feeder_id = identifier(primary_key=True)
    issue_time = utc(primary_key=True)
    hour_start = utc(primary_key=True)
    rating_kw = dy.Float64(min_exclusive=0)
    p50_kw = dy.Float64()
    p90_kw = dy.Float64()
    probability = dy.Float64(min=0, max=1)
    model = identifier()


class Alerts(dy.Schema):
    """One row per alert; the same fact never opens a second one: `dedupe_key` is unique.

    `metadata` is JSON text with the evidence.
    """

    alert_id = identifier(primary_key=True)
    dedupe_key = identifier()
    alert_type = one_of("anomaly", "threshold_exceeded", "system_failure")
    severity = one_of(*SEVERITIES)
    subject_id = identifier()
    message = dy.String()
    metadata = dy.String()
    state = one_of("open", "acknowledged", "closed")
    opened_at = utc()
    closed_at = utc(nullable=True)


class Outbox(dy.Schema):
    """One row per message to deliver; written in the alert's own transaction.

    Claimed, tried, and marked delivered or dead; `payload` is JSON text.
    """

    message_id = identifier(primary_key=True)
    alert_id = identifier()
    channel = one_of(*CHANNELS)
    recipient = dy.String()
    payload = dy.String()
    state = one_of("pending", "delivered", "dead")
    attempts = dy.Int32(min=0)
    next_attempt_at = utc()
    created_at = utc()


class NotificationAttempts(dy.Schema):
    """One row per (message_id, attempt): when, how it ended, how long it took in ms."""

    message_id = identifier(primary_key=True)
    attempt = dy.Int32(primary_key=True, min=1)
    tried_at = utc()
    outcome = one_of("delivered", "refused", "unreachable", "timeout")
    status_code = dy.Int32(nullable=True)
    detail = dy.String(nullable=True)
    duration_ms = dy.Float64(min=0)
