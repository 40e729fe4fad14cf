"""Logs of the processes, which nobody else keeps from growing for ever."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from smartgrid_cli.machine.child_process import rotate_log

EVERY_S = 60.0


@dataclass
class LogRotation:
    """Keeps the logs of a home short; `rotate_due` is called often and mostly does nothing.

    Attributes:
        logs: Folder of the logs.
    """

    logs: Path
    _next: float = field(default=0.0)

    def rotate_due(self) -> None:
        """Cut long logs, once a minute."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY_S
            for log in self.logs.glob("*.log"):
                rotate_log(log)
