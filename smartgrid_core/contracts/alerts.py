"""Tables of what needs a person: limit exceedances, alerts, and the outbox that carries them."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

SEVERITIES = ("info", "warning", "critical")
CHANNELS = ("webhook", "email", "sms", "push")


class LimitExceedances(dy.Schema):
    """One row per (feeder_id, issue_time, hour_start) whose rating may be crossed."""

    feeder_id = identifier(primary_key=True, description="The feeder.")
    issue_time = utc(primary_key=True, description="Issue time of the forecast, UTC.")
    hour_start = utc(primary_key=True, description="Start of the hour that is forecast, UTC.")
    rating_kw = dy.Float64(min_exclusive=0, description="The feeder's thermal limit, kW.")
    p50_kw = dy.Float64(description="The forecast's median, kW.")
    p90_kw = dy.Float64(description="The forecast's P90, kW.")
    probability = dy.Float64(
        min=0,
        max=1,
        description=(
            "Probability that the hour's mean power exceeds `rating_kw`, 0 to 1; rows begin at "
            "0.05."
        ),
    )
    model = identifier(
        description="Who forecast: the registered model, or the naive row that stood in for it."
    )


class Alerts(dy.Schema):
    """One row per alert; the same fact never opens a second one."""

    alert_id = identifier(
        primary_key=True,
        description="Derived from `dedupe_key`: whoever decides twice decides the same alert.",
    )
    dedupe_key = identifier(
        description=(
            "The fact, unique: `limit:<feeder>:<local day>`, `failure:<job>:<first run>` or "
            "`rollback:<model>:<version>`."
        )
    )
    alert_type = one_of(
        "anomaly",
        "threshold_exceeded",
        "system_failure",
        description=(
            "Sort of fact: a forecast load above its rating is `threshold_exceeded`, a failed job"
            " or a canary that was rolled back `system_failure`."
        ),
    )
    severity = one_of(
        *SEVERITIES,
        description=(
            "How urgent it is; a limit is critical from a probability of 0.9, or a P50 of 110 % "
            "of the rating."
        ),
    )
    subject_id = identifier(description="The feeder, job or model that it is about.")
    message = dy.String(description="The fact in one or two sentences, with local times.")
    metadata = dy.String(description="The evidence, as JSON text.")
    state = one_of(
        "open",
        "acknowledged",
        "closed",
        description="Open until somebody acknowledges or closes it.",
    )
    opened_at = utc(description="When the alert was opened, UTC.")
    closed_at = utc(nullable=True, description="When it was closed, UTC; null until then.")


class Outbox(dy.Schema):
    """One row per message to deliver; written in the alert's own transaction.

    Claimed, tried, and marked delivered or dead.
    """

    message_id = identifier(
        primary_key=True,
        description=(
            "Derived from alert, channel and recipient; it is sent as the Idempotency-Key of "
            "every attempt."
        ),
    )
    alert_id = identifier(description="The alert that the message is about.")
    channel = one_of(*CHANNELS, description="How the message travels.")
    recipient = dy.String(description="Where it goes: for a webhook the address.")
    payload = dy.String(description="What is sent, as JSON text.")
    state = one_of(
        "pending",
        "delivered",
        "dead",
        description="`pending` until it is delivered, or `dead` after too many attempts.",
    )
    attempts = dy.Int32(min=0, description="Attempts so far.")
    next_attempt_at = utc(
        description=(
            "From when a pending message may be tried, UTC; of others the time of the last attempt."
        )
    )
    created_at = utc(description="When the alert was opened, UTC.")


class NotificationAttempts(dy.Schema):
    """One row per (message_id, attempt): how an attempt to deliver a message ended."""

    message_id = identifier(primary_key=True, description="The message in `outbox`.")
    attempt = dy.Int32(primary_key=True, min=1, description="Number of the attempt, from 1.")
    tried_at = utc(description="When the round of attempts began, UTC.")
    outcome = one_of(
        "delivered",
        "refused",
        "unreachable",
        "timeout",
        description=(
            "`refused`: an answer that is no success; `unreachable`: no connection; `timeout`: no"
            " answer in time."
        ),
    )
    status_code = dy.Int32(
        nullable=True, description="HTTP status of the answer; null without one."
    )
    detail = dy.String(
        nullable=True,
        description=(
            "What went wrong, in the words of the receiver or the error; null if nothing did."
        ),
    )
    duration_ms = dy.Float64(min=0, description="How long the attempt took, milliseconds.")
