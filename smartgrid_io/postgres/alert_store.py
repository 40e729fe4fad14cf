"""Alerts on record and the outbox that carries them to people, kept in PostgreSQL.

A message is claimed, tried and marked in one transaction that holds its row: another process that
delivers skips it, and a process that dies in between leaves it pending, to be tried again with the
same Idempotency-Key. So every message arrives at least once, and twice only if a process died.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from psycopg import sql
from psycopg.types.json import Jsonb

from smartgrid_core.alerts.messages import (
    MOST_ATTEMPTS,
    build_alert_payload,
    derive_message_id,
    plan_next_attempt,
)
from smartgrid_core.contracts.alerts import Alerts
from smartgrid_core.protocols import DeliveryReport, Notifier
from smartgrid_io.postgres.copy import Connection, connect, copy_out, quote_identifiers
from smartgrid_io.validate_rows import to_polars_types, validate_rows

MOST_PER_ROUND = 100
"""Messages tried in one round: if every one times out, the round still ends within ten minutes."""


@dataclass(frozen=True, slots=True)
class PostgresAlertStore:
    """Alerts and outbox at `url`; messages go to `recipient` over `channel` through `notifier`.

    Without a recipient alerts are recorded and nothing is sent.
    """

    url: str
    notifier: Notifier
    recipient: str | None
    channel: str = "webhook"

    def read_open_alerts(self) -> pl.DataFrame:
        """Return rows of `Alerts` that nobody has closed."""
        types = to_polars_types(Alerts)
        query = sql.SQL("SELECT {} FROM alerts WHERE state <> 'closed'").format(
            quote_identifiers(types)
        )
        with connect(self.url) as connection:
            return copy_out(connection, query, types).sort("dedupe_key")

    def record(self, alerts: pl.DataFrame) -> int:
        """Write rows of `Alerts`, each with its message to deliver; return how many are new."""
        return record_alerts(self.url, alerts, channel=self.channel, recipient=self.recipient)

    def list_due(self, *, now: datetime) -> list[str]:
        """Return the messages that wait to be tried, each as `<message_id>#<attempts so far>`."""
        with connect(self.url) as connection:
            found = connection.execute(
                "SELECT message_id || '#' || attempts FROM outbox"
                " WHERE state = 'pending' AND next_attempt_at <= %s"
                " ORDER BY next_attempt_at, message_id LIMIT %s",
                [now, MOST_PER_ROUND],
            ).fetchall()
        return [str(key) for (key,) in found]

    def deliver(self, *, now: datetime) -> DeliveryReport:
        """Try every message that is due once and return the counts."""
        return deliver_pending(self.url, self.notifier, now=now)


def record_alerts(url: str, alerts: pl.DataFrame, *, channel: str, recipient: str | None) -> int:
    """Insert alerts whose dedupe_key is new, each with its outbox row, and return how many were
    new.

    All in one transaction.

    Args:
        url: `postgresql://...` of the warehouse.
        alerts: Rows of `Alerts`.
        channel: How messages travel, such as `webhook`.
        recipient: Where messages go; None records alerts and sends nothing.

    Returns:
        The number of alerts that were not on record.

    Raises:
        ContractError: A row breaks the contract `Alerts`.
    """
    rows = validate_rows(Alerts, alerts).to_dicts()
    if not rows:
        return 0
    with connect(url) as connection:
        return sum(
            _insert_alert(connection, row, channel=channel, recipient=recipient)
            for row in sorted(rows, key=lambda row: str(row["dedupe_key"]))
        )


def _insert_alert(
    connection: Connection, alert: Mapping[str, Any], *, channel: str, recipient: str | None
) -> bool:
    """Insert one alert and its outbox row; return whether the alert is new.

    Args:
        connection: An open transaction.
        alert: One row of `Alerts` by column name.
        channel: How the message travels.
        recipient: Where the message goes; None writes no outbox row.
    """
    columns = list(to_polars_types(Alerts))
    inserted = connection.execute(
        sql.SQL("INSERT INTO alerts ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
            quote_identifiers(columns), sql.SQL(", ").join(map(sql.Placeholder, columns))
        ),
        {**alert, "metadata": Jsonb(json.loads(alert["metadata"]))},
    ).rowcount
    if not inserted:
        return False
    if recipient is not None:
        connection.execute(
            "INSERT INTO outbox (message_id, alert_id, channel, recipient, payload, state,"
            " attempts, next_attempt_at, created_at)"
            " VALUES (%s, %s, %s, %s, %s, 'pending', 0, %s, %s)",
            [
                derive_message_id(alert["alert_id"], channel=channel, recipient=recipient),
                alert["alert_id"],
                channel,
                recipient,
                Jsonb(build_alert_payload(alert)),
                alert["opened_at"],
                alert["opened_at"],
            ],
        )
    return True


def deliver_pending(
    url: str,
    notifier: Notifier,
    *,
    now: datetime,
    most_attempts: int = MOST_ATTEMPTS,
    limit: int = MOST_PER_ROUND,
) -> DeliveryReport:
    """Try the messages that are due at `now` once each, the oldest first, and return the counts.

    Several processes may deliver at once: a message that one of them holds is skipped by the
    others.

    Args:
        url: `postgresql://...` of the warehouse.
        notifier: Carries one message to its recipient.
        now: The present instant, UTC.
        most_attempts: Attempts after which a message is given up.
        limit: Most messages of this round.

    Returns:
        How many messages were delivered, will be tried again, and were given up.
    """
    states = {"delivered": 0, "pending": 0, "dead": 0}
    with connect(url) as connection:
        for _ in range(limit):
            with connection.transaction():
                state = _deliver_next(connection, notifier, now=now, most_attempts=most_attempts)
            if state is None:
                break
            states[state] += 1
    return DeliveryReport(
        delivered=states["delivered"], retried=states["pending"], dead=states["dead"]
    )


def _deliver_next(
    connection: Connection, notifier: Notifier, *, now: datetime, most_attempts: int
) -> str | None:
    """Return the state in which the next due message was left; None if none is due.

    Args:
        connection: An open transaction; it holds the message's row to its end.
        notifier: Carries one message to its recipient.
        now: The present instant, UTC.
        most_attempts: Attempts after which a message is given up.
    """
    claimed = connection.execute(
        "SELECT message_id, channel, recipient, payload, attempts FROM outbox"
        " WHERE state = 'pending' AND next_attempt_at <= %s"
        " ORDER BY next_attempt_at, message_id LIMIT 1 FOR UPDATE SKIP LOCKED",
        [now],
    ).fetchone()
    if claimed is None:
        return None
    key, channel, recipient, payload, attempts = claimed
    attempt = attempts + 1
    delivery = notifier.send(channel, recipient, payload, message_id=key)
    state, again_at = plan_next_attempt(
        delivery.outcome, attempts=attempt, now=now, most=most_attempts
    )
    connection.execute(
        "INSERT INTO notification_attempts"
        " (message_id, attempt, tried_at, outcome, status_code, detail, duration_ms)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            key,
            attempt,
            now,
            delivery.outcome,
            delivery.status_code,
            delivery.detail,
            delivery.duration_ms,
        ],
    )
    connection.execute(
        "UPDATE outbox SET state = %s, attempts = %s, next_attempt_at = %s WHERE message_id = %s",
        [state, attempt, again_at, key],
    )
    return state
