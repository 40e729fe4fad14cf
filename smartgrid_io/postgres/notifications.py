"""The channel on which the database tells that days were touched or messages wait.

Triggers on `touched_days` and `outbox` send the notifications, whoever writes there; a listener
learns of them when the transaction is done. They carry nothing: what happened stands in the tables.
"""

from typing import Final

import psycopg
from psycopg import sql

CHANNEL: Final = "smartgrid"
"""What to LISTEN to."""


def notify_listeners(url: str) -> None:
    """Tell whoever listens to look now: somebody waits for what they find."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("NOTIFY {}").format(sql.Identifier(CHANNEL)))
