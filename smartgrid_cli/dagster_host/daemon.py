"""Dagster's daemon, whose loops look when something happened instead of every few seconds.

Run as a program: `python -m smartgrid_cli.dagster_host.daemon WORKSPACE` with DAGSTER_HOME set.
Three things wake it: a change in the landing folder, a notification of the warehouse that days were
touched or messages wait, and the end of a run. Nothing depends on them: whatever went unnoticed is
found at the next look by the clock.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import watchfiles
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon, SpanMarker
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._utils.error import serializable_error_info_from_exc_info
from psycopg import sql

from smartgrid_cli.dagster_host.run_launcher import WarmRunLauncher
from smartgrid_cli.dagster_host.wakeup import WakeableEvent, Wakeup
from smartgrid_cli.machine.signals import Stopped, raise_on_signals
from smartgrid_core.settings import Settings
from smartgrid_io.postgres.notifications import CHANNEL

LOG = logging.getLogger("dagster.daemon.wakeup")

PACES = {"SENSOR": (1.0, 30.0), "ASSET": (2.0, 30.0), "BACKFILL": (1.0, 5.0)}
"""By kind of daemon: the longest wait after an event, and otherwise, s."""
QUEUE_PACE = (0.25, 2.0)
"""The same for the queue of runs; a run that the web page asked for wakes nobody."""
RECONNECT_S = 5.0
QUIET_MS = 300
"""Changes of files so close together are one event."""


def slow_down(daemon: DagsterDaemon[Any], wakeup: Wakeup) -> DagsterDaemon[Any]:
    """Let a daemon of Dagster's wait for events between two looks, where it has a pace."""
    if isinstance(daemon, QueuedRunCoordinatorDaemon):
        return EventfulQueue(daemon.interval_seconds, wakeup=wakeup)
    pace = PACES.get(daemon.daemon_type())
    if pace is not None:
        look = daemon.core_loop
        short_s, idle_s = pace

        def look_when_woken(context: Any, shutdown: threading.Event) -> DaemonIterator:
            return look(context, WakeableEvent(shutdown, wakeup, short_s=short_s, idle_s=idle_s))

        daemon.core_loop = look_when_woken  # type: ignore[assignment, method-assign]
    return daemon


class EventfulQueue(QueuedRunCoordinatorDaemon):
    """The queue of runs, looked at when something happened.

    Args:
        interval_seconds: What the instance says; kept for Dagster, not used.
        wakeup: Tells of events.
    """

    def __init__(self, interval_seconds: float, *, wakeup: Wakeup) -> None:
        super().__init__(interval_seconds)
        self._wakeup = wakeup

    def core_loop(self, workspace_process_context: Any, shutdown_event: Any) -> DaemonIterator:
        """Launch what waits in the queue, again and again."""
        short_s, idle_s = QUEUE_PACE
        woken = WakeableEvent(shutdown_event, self._wakeup, short_s=short_s, idle_s=idle_s)
        while True:
            yield SpanMarker.START_SPAN
            try:
                yield from self.run_iteration(workspace_process_context)
            except Exception:
                error = serializable_error_info_from_exc_info(sys.exc_info())
                self._logger.error("Caught error:\n%s", error)
                yield error
            yield SpanMarker.END_SPAN
            woken.wait()
            yield None


def watch_folder(folder: Path, wakeup: Wakeup) -> None:
    """Tell of every change below a folder, for ever; the folder may come later, or go and come."""
    complaint = ""
    while True:
        try:
            for _ in watchfiles.watch(folder, debounce=QUIET_MS, step=QUIET_MS // 3):
                wakeup.notify()
        except (OSError, RuntimeError) as error:
            complaint = _complain_once(f"the folder {folder} is not watched: {error}", complaint)
        time.sleep(RECONNECT_S)


def watch_warehouse(url: str, wakeup: Wakeup) -> None:
    """Tell of every notification of the warehouse, for ever; after an outage at once."""
    complaint = ""
    while True:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                wakeup.notify()
                for _ in connection.notifies():
                    wakeup.notify()
        except psycopg.Error as error:
            complaint = _complain_once(f"the warehouse is not listened to: {error}", complaint)
        time.sleep(RECONNECT_S)


def _complain_once(complaint: str, last: str) -> str:
    """Log a complaint unless it was the last one, and return it."""
    if complaint != last:
        LOG.warning(complaint)
    return complaint


def start_watching(settings: Settings, wakeup: Wakeup) -> None:
    """Start what tells of changes, each in a thread that ends with the process."""
    watchers: dict[str, tuple[Callable[..., None], Any]] = {
        "folder": (watch_folder, Path(settings.landing_place)),
    }
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        watchers["warehouse"] = (watch_warehouse, url)
    for name, (watch, what) in watchers.items():
        threading.Thread(target=watch, args=(what, wakeup), name=name, daemon=True).start()


def main(arguments: Sequence[str]) -> None:
    """Run every daemon that the instance needs, until SIGTERM or SIGINT."""
    wakeup = Wakeup()
    with dg.DagsterInstance.get() as instance, raise_on_signals():
        launcher = instance.run_launcher
        if isinstance(launcher, WarmRunLauncher):
            launcher.on_end = wakeup.notify
        start_watching(Settings(), wakeup)
        with daemon_controller_from_instance(
            instance,
            workspace_load_target=WorkspaceFileTarget(list(arguments)),
            gen_daemons=lambda known: [
                slow_down(each, wakeup) for each in create_daemons_from_instance(known)
            ],
        ) as controller:
            controller.check_daemon_loop()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Stopped, KeyboardInterrupt):
        sys.exit(0)
