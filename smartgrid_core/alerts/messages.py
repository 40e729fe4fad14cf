"""What a message about an alert says to machines, and when it is tried again or given up."""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from smartgrid_core.alerts.decide import NAMESPACE

MOST_ATTEMPTS = 10
"""With the waits below a receiver may be away for about five hours."""

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)


def derive_message_id(alert_id: str, *, channel: str, recipient: str) -> str:
    """The same for the same alert on the same way to the same recipient: the Idempotency-Key."""
    return str(uuid.uuid5(NAMESPACE, f"{alert_id}:{channel}:{recipient}"))


def build_alert_payload(alert: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that is posted about a row of `Alerts`; instants in ISO 8601, UTC."""
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
    """State of a message after its `attempts`-th try, and when it may be tried again.

    The wait doubles with every try, from FIRST_WAIT to LONGEST_WAIT.
    """
    if outcome == "delivered":
        return "delivered", now
    if attempts >= most:
        return "dead", now
    return "pending", now + min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)
