"""What a message about an alert holds, and when it is sent again or given up."""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from smartgrid_core.alerts.decide import NAMESPACE

MOST_ATTEMPTS = 10
"""With the waits below a receiver may be away for about three hours."""

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)


def derive_message_id(alert_id: str, *, channel: str, recipient: str) -> str:
    """Return the Idempotency-Key: the same for one alert, channel and recipient."""
    return str(uuid.uuid5(NAMESPACE, f"{alert_id}:{channel}:{recipient}"))


def build_alert_payload(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object that is sent about a row of `Alerts`; instants in ISO 8601, UTC."""
    return {
        "alert_id": alert["alert_id"],
        "alert_type": alert["alert_type"],
        "severity": alert["severity"],
        "subject_id": alert["subject_id"],
        "message": alert["message"],
        "opened_at": alert["opened_at"].isoformat(),
        "metadata": json.loads(alert["metadata"]),
    }


def plan_next_attempt(
    outcome: str, *, attempts: int, now: datetime, most: int = MOST_ATTEMPTS
) -> tuple[str, datetime]:
    """Return a message's state after a try, and the instant from which it may be tried again.

    The wait doubles with every try, from FIRST_WAIT to LONGEST_WAIT.

    Args:
        outcome: How the try ended, as in `NotificationAttempts`.
        attempts: Tries so far, this one included; at least 1.
        now: When the try ended, UTC.
        most: Tries after which the message is given up.

    Returns:
        The state of `Outbox` (delivered, dead or pending) and the earliest next try, UTC.

    >>> from datetime import UTC
    >>> now = datetime(2026, 3, 1, tzinfo=UTC)
    >>> state, again = plan_next_attempt("timeout", attempts=2, now=now)
    >>> f"{state} until {again:%H:%M:%S}"
    'pending until 00:01:00'
    """
    if outcome == "delivered":
        return "delivered", now
    if attempts >= most:
        return "dead", now
    return "pending", now + min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)
