"""Old log events and compute logs of runs, which Dagster itself would keep for ever, are purged."""

import shutil
import time
from datetime import timedelta
from pathlib import Path

import psycopg

RETENTION = timedelta(days=30)
"""Longer than anybody reads the log lines of a run that has ended."""

_PURGE_EVENTS = """
    DELETE FROM event_logs
    WHERE timestamp < now() AT TIME ZONE 'UTC' - %(kept)s
      AND asset_key IS NULL
      AND run_id IN (SELECT run_id FROM runs WHERE status IN ('SUCCESS', 'FAILURE', 'CANCELED'))
"""
"""Events of assets stay: materialisations and check results are what partitions are judged by."""


def purge_events(url: str, *, kept: timedelta = RETENTION) -> int:
    """Delete old log events of ended runs from Dagster's storage. Returns how many.

    A storage that has no tables yet has nothing old.
    """
    with psycopg.connect(url) as connection:
        ready = connection.execute("SELECT to_regclass('event_logs'), to_regclass('runs')")
        if None in (ready.fetchone() or (None,)):
            return 0
        return connection.execute(_PURGE_EVENTS, {"kept": kept}).rowcount


def purge_compute_logs(
    folder: Path, *, now: float | None = None, kept: timedelta = RETENTION
) -> int:
    """Remove the output folders of runs that nothing was written to for `kept`; return how many.

    `folder`: Dagster's compute logs. `now`: seconds since 1970, UTC; None asks the clock.
    """
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
