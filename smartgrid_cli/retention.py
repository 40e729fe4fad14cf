"""What Dagster itself would keep for ever: log events and compute logs of old runs."""

import shutil
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg

from smartgrid_cli.children import rotate

KEPT = timedelta(days=30)
"""Longer than anybody reads the log lines of a run that has ended."""
EVERY_S = 3600.0
"""How often everything is looked through; logs of processes are looked at every minute."""

PURGE_EVENTS = """
    DELETE FROM event_logs
    WHERE timestamp < now() AT TIME ZONE 'UTC' - %(kept)s
      AND asset_key IS NULL
      AND run_id IN (SELECT run_id FROM runs WHERE status IN ('SUCCESS', 'FAILURE', 'CANCELED'))
"""
"""Events of assets stay: materialisations and check results are what partitions are judged by."""


def purge_events(url: str, *, kept: timedelta = KEPT) -> int:
    """Delete old log events of ended runs from Dagster's storage. Returns how many.

    A storage that has no tables yet has nothing old.
    """
    with psycopg.connect(url) as connection:
        ready = connection.execute("SELECT to_regclass('event_logs'), to_regclass('runs')")
        if None in (ready.fetchone() or (None,)):
            return 0
        return connection.execute(PURGE_EVENTS, {"kept": kept}).rowcount


def purge_compute_logs(folder: Path, *, now: float | None = None, kept: timedelta = KEPT) -> int:
    """Remove the output folders of runs that nothing was written to for `kept`."""
    limit = (time.time() if now is None else now) - kept.total_seconds()
    old = [
        place
        for place in (folder / "storage").glob("*")
        if place.is_dir()
        and max(path.stat().st_mtime for path in (place, *place.rglob("*"))) < limit
    ]
    for place in old:
        shutil.rmtree(place)
    return len(old)


@dataclass
class Retention:
    """Keeps the home from growing for ever; `tick` is called often and mostly does nothing."""

    logs: Path
    compute_logs: Path
    dagster_url: str
    _next_logs: float = field(default=0.0)
    _next_purge: float = field(default=0.0)

    def tick(self) -> None:
        """Cut long logs; once an hour purge what is too old.

        A database that is away is waited for.
        """
        now = time.monotonic()
        if now >= self._next_logs:
            self._next_logs = now + 60.0
            for log in self.logs.glob("*.log"):
                rotate(log)
        if now >= self._next_purge:
            self._next_purge = now + EVERY_S
            try:
                purge_compute_logs(self.compute_logs)
                purge_events(self.dagster_url)
            except psycopg.Error:
                self._next_purge = now + 60.0
