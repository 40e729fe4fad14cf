"""The channel on which the database tells that days were touched or messages wait.

Triggers on `touched_days` and `outbox` send the notifications, whoever writes there; a listener
learns of them when the transaction is done. They carry nothing: what happened stands in the tables.
"""

from typing import Final

CHANNEL: Final = "smartgrid"
"""What to LISTEN to."""
