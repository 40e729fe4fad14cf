"""Materialises what is missing in a running Dagster, waits for it, and reports what failed."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Protocol

from smartgrid_cli.dagster_api.client import DagsterClient
from smartgrid_cli.dagster_api.records import Asset, Run, Sensor, Step
from smartgrid_cli.dagster_api.step_reports import StepReports
from smartgrid_cli.dagster_api.transport import DagsterApiError
from smartgrid_core.runs import iter_day_ranges

LONGEST_RANGE = 92
"""Days in one run: a season fits in memory, and two seasons can run side by side."""
POLL_S = 0.5
BACKFILL_PATIENCE_S = 240.0
"""How long a backfill may stand still, with no run under way."""
WAKE_EVERY_S = 5.0
"""How often sensors that are waited for are woken."""
SENSOR_PATIENCE_S = 240.0
"""How long a running sensor may not look at anything before it is called broken."""


class RunFailedError(DagsterApiError):
    """A run failed for good; the text names the job, its days and the first error."""


class Progress(Protocol):
    """Shows how far runs are."""

    def show_runs(self, runs: Sequence[tuple[Run, Sequence[Step]]], note: str) -> None:
        """Show the runs that are under way, with the steps that have begun."""
        ...

    def keep(self, sentence: str) -> None:
        """Print a line of plain text that stays."""
        ...

    def clear(self) -> None:
        """Show that nothing is under way any more."""
        ...


@dataclass
class Materializer:
    """Materialises what is missing and waits for runs, backfills and sensors.

    Attributes:
        client: Dagster's API.
        progress: Where runs under way are shown.
        launched: Runs that were started here.
    """

    client: DagsterClient
    progress: Progress
    check: Callable[[], None]
    """Raises when waiting has become pointless (a process was given up)."""
    wake: Callable[[], None] = lambda: None
    """Lets sensors look now that somebody waits for them."""
    launched: int = 0
    _reports: StepReports = field(init=False)

    def __post_init__(self) -> None:
        self._reports = StepReports(self.client)

    def wait_until_loaded(self, *, seconds: float = 240.0) -> None:
        """Wait for the code location. Raises DagsterApiError with its error."""
        end = time.monotonic() + seconds
        while (error := self.client.read_load_error()) is not None:
            if time.monotonic() > end:
                raise DagsterApiError(f"the graph is not loaded: {error}")
            self.check()
            time.sleep(POLL_S)

    def run_missing(self, job: str, *, first: date, last: date) -> int:
        """Materialise the days of `first` to `last` that an asset of the job lacks, and wait.

        An unpartitioned job runs if one of its assets was never made or failed last. Returns how
        many runs that took. Raises RunFailedError if one fails.
        """
        self.wait_until_idle()
        ids = self.queue_missing(job, first=first, last=last)
        for run in self.wait_until_idle(ids):
            if run.status != "SUCCESS":
                raise RunFailedError(self.describe_failure(run))
        return len(ids)

    def run_job(self, job: str) -> None:
        """Run a job that makes no asset, and wait. Raises RunFailedError if it fails."""
        run_id = self.client.launch(job, tags={"smartgrid/started_by": "smartgrid demo"})
        self.launched += 1
        for run in self.wait_until_idle([run_id]):
            if run.status != "SUCCESS":
                raise RunFailedError(self.describe_failure(run))

    def queue_missing(self, job: str, *, first: date, last: date) -> list[str]:
        """Queue the runs of `run_missing` and return their ids without waiting for them."""
        assets = [asset for asset in self.client.list_assets() if job in asset.jobs]
        if not assets:
            raise DagsterApiError(f"the graph has no job {job}")
        if not any(asset.is_partitioned for asset in assets):
            lacking = [a for a in assets if a.is_failed or not a.is_materialized]
            spans: list[tuple[date, date] | None] = [None] if lacking else []
        else:
            days = list_missing_days(assets, first=first, last=last)
            spans = list(iter_day_ranges(days, longest=LONGEST_RANGE))
        tags = {"smartgrid/started_by": "smartgrid demo"}
        ids = [self.client.launch(job, days=span, tags=tags) for span in spans]
        self.launched += len(ids)
        return ids

    def wait_until_idle(self, ids: Sequence[str] = (), *, backfills: bool = False) -> list[Run]:
        """Wait until no run is queued, under way or about to be tried again.

        With `backfills` also until no backfill is open. Returns how the runs of `ids` ended: of
        one that was tried again, its last try. Raises DagsterApiError naming the assets of a
        backfill that makes no progress.
        """
        end = time.monotonic() + BACKFILL_PATIENCE_S
        while True:
            backfilled = self.client.list_backfilled() if backfills else []
            runs = self.client.list_runs(limit=100)
            open_runs = [run for run in runs if not run.has_ended or run.will_be_tried_again]
            if not open_runs and not backfilled:
                self.progress.clear()
                return [self._find_last_try(run_id) for run_id in ids]
            self.progress.show_runs(
                [(run, self._list_steps(run)) for run in open_runs],
                f"catching up: {', '.join(backfilled)}" if backfilled else "",
            )
            if open_runs:
                end = time.monotonic() + BACKFILL_PATIENCE_S
            elif time.monotonic() > end:
                raise DagsterApiError(
                    f"the backfill of {', '.join(backfilled)} does not go on; see Dagster's page of"
                    " runs and dagster_daemon.log"
                )
            self.check()
            time.sleep(POLL_S)

    def wait_until_sensors_idle(
        self, *, since: float, of: Collection[str] | None = None
    ) -> list[Run]:
        """Wait until these sensors (all for None) ticked after `since` and ask for nothing more.

        What they ask for may make them ask for more: it ends with a round of ticks that asks for
        nothing. Returns the runs. Raises DagsterApiError naming a sensor that stopped ticking.
        """
        mark = since
        while True:
            self.wait_for_ticks(mark, of=of)
            self.wait_until_idle(backfills=True)
            runs = self.client.list_runs(created_after=since)
            latest = max((run.ended or run.created for run in runs), default=since)
            if latest <= mark:
                return runs
            mark = latest

    def describe_failure(self, run: Run) -> str:
        """Return a failed run as a sentence."""
        about = f" ({run.days})" if run.days else ""
        return f"{run.title}{about} failed: {self.client.explain_failure(run.run_id)}"

    def wait_for_ticks(self, mark: float, *, of: Collection[str] | None = None) -> None:
        """Wait until these sensors (all that are switched on for None) have ticked after `mark`.

        Raises DagsterApiError naming one that is switched off or does not tick any more.
        """
        running = {sensor.name for sensor in self.client.list_sensors()}
        if off := sorted(set(of or ()) - running):
            raise DagsterApiError(
                f"the sensor {', '.join(off)} is switched off: switch it on in Dagster"
            )
        end = time.monotonic() + SENSOR_PATIENCE_S
        woken = float("-inf")
        while late := select_late_sensors(self.client.list_sensors(), mark, of=of):
            if time.monotonic() > end:
                words = "; ".join(f"{s.name} ({s.last_error or 'no look'})" for s in late)
                raise DagsterApiError(f"sensors do not look: {words}; see dagster_daemon.log")
            self.progress.show_runs(
                [], f"waiting for the sensors {', '.join(s.name for s in late)}"
            )
            if time.monotonic() - woken > WAKE_EVERY_S:
                self.wake()
                woken = time.monotonic()
            self.check()
            time.sleep(POLL_S)

    def _list_steps(self, run: Run) -> list[Step]:
        """Return the steps of a run with what they say of themselves; what ended is printed."""
        if run.status != "STARTED":
            return []
        steps, ended = self._reports.read(run, self.client.list_steps(run.run_id))
        for sentence in ended:
            self.progress.keep(f"  {sentence}")
        return steps

    def _find_last_try(self, run_id: str) -> Run:
        run = self.client.list_runs(ids=[run_id])[0]
        successor = run.tags.get("dagster/auto_retry_run_id")
        return self._find_last_try(successor) if run.status != "SUCCESS" and successor else run


def list_missing_days(assets: Iterable[Asset], *, first: date, last: date) -> list[date]:
    """Return the days of `first` to `last` that a partitioned asset lacks or failed at."""
    missing: set[date] = set()
    for asset in assets:
        if asset.first_day is None or asset.last_day is None:
            continue
        day, end = max(first, asset.first_day), min(last, asset.last_day)
        while day <= end:
            if day not in asset.done or day in asset.failed:
                missing.add(day)
            day += timedelta(days=1)
    return sorted(missing)


def select_late_sensors(
    sensors: Iterable[Sensor], mark: float, *, of: Collection[str] | None = None
) -> list[Sensor]:
    """Return the sensors (of these names) whose last finished tick began before `mark`."""
    wanted = [s for s in sensors if of is None or s.name in of]
    return [s for s in wanted if s.last_tick is None or s.last_tick < mark]


def list_problems(
    assets: Iterable[Asset], *, wanted: Mapping[str, tuple[date, date]], refused: Sequence[str]
) -> list[str]:
    """Return what keeps a demo from being a success, in sentences; empty for none.

    `wanted` holds for which days the assets of a job have to be there, `refused` which checks
    refused.
    """
    wrong = []
    for asset in assets:
        spans = [wanted[job] for job in asset.jobs if job in wanted]
        if asset.is_failed or asset.failed:
            wrong.append(
                f"{asset.name} failed for {_describe_days(sorted(asset.failed)) or 'its last run'}"
            )
        elif spans and not asset.is_partitioned and not asset.is_materialized:
            wrong.append(f"{asset.name} was not made")
        elif spans and asset.is_partitioned:
            first, last = min(span[0] for span in spans), max(span[1] for span in spans)
            missing = list_missing_days([asset], first=first, last=last)
            if missing:
                wrong.append(f"{asset.name} lacks {_describe_days(missing)}")
    return [*wrong, *(f"the check {name} refused" for name in refused)]


def _describe_days(days: Sequence[date]) -> str:
    spans = [str(a) if a == b else f"{a} .. {b}" for a, b in iter_day_ranges(days)]
    return ", ".join(spans)
