"""`smartgrid demo`: the demo grid's readings walked through the whole graph, step by step."""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
from rich.console import Console

from demo.files import write_demo
from smartgrid_cli.commands.demo_state import DemoPlan, DemoState, as_text
from smartgrid_cli.commands.insights import show_standing
from smartgrid_cli.commands.land import describe_report, land_files
from smartgrid_cli.commands.up import run_machine, stay_up
from smartgrid_cli.dagster_api.client import DagsterClient
from smartgrid_cli.dagster_api.materializer import Materializer, list_problems
from smartgrid_cli.display import tables as show
from smartgrid_cli.display.progress import ProgressDisplay
from smartgrid_cli.display.store_queries import (
    ServedForecast,
    Stores,
    load_settings,
    measure_tables,
    read_leaderboard,
    read_newest_decision,
    read_open_alerts,
    request_forecast,
)
from smartgrid_cli.machine.home import Home
from smartgrid_cli.machine.processes import Machine
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.contracts.insights import InsightPages
from smartgrid_core.contracts.readings import LandedFiles
from smartgrid_core.errors import ModelUnavailableError, SmartGridError
from smartgrid_core.rollout.labels import LOAD_FORECASTER
from smartgrid_core.time import Window
from smartgrid_io.postgres.notifications import notify_listeners

HELD_PROCESS = "dagster_daemon"
"""Its sensors would re-open days that are still being landed."""

LANDING_SENSOR = "landing_arrivals"
"""The sensor that asks for the landing of files that have arrived."""

LANDING_PATIENCE_S = 240.0
"""How long a file may lie in the landing folder of a running machine before that is an error."""

REOPENING_SENSOR = "late_readings"
"""The sensor that asks for the days that a landing touched."""

FOLLOWING_SENSOR = "automation_conditions"
"""The sensor that asks for what has to follow the days."""

SEARCH_SETTINGS = {"SMARTGRID_AUTOML_BUDGET_S": "75", "SMARTGRID_BACKTEST_FOLDS": "1"}
"""Enough for each engine to start and find something, and no training more than it takes to show
it; a setting of one's own counts instead."""

TRUTH_CHECK = "planted_faults_found"
"""It warns elsewhere; the demo planted the faults itself and has to find them."""

READ_TOPOLOGY, REFRESH_DAYS, MAKE_PAGES = "read_topology", "refresh_days", "make_data_docs"
JOBS = (
    *(READ_TOPOLOGY, REFRESH_DAYS, "sum_local_days", "judge_readings", "build_features"),
    *("train_models", "forecast_day", "raise_alerts", "compare_variants"),
    *("mine_days", "mine_grid"),
)
"""In the way of the data."""


class DemoError(SmartGridError):
    """The demo ran and something is wrong; the text lists it."""


def run_demo(
    home: Home,
    *,
    days: int | None,
    end: date | None,
    today: date,
    stays: bool,
    console: Console,
) -> None:
    """Start everything, run what is missing, show it; stay until Ctrl-C if `stays`.

    Args:
        home: The home folder; what an earlier run finished there is not done again.
        days: UTC days of readings; None for those of the home, or 60.
        end: The UTC day at whose start the readings end; None for that of the home, or `today`.
        today: The UTC day now.
        stays: Whether everything runs on once it is shown.
        console: Where progress and results are printed.

    Raises:
        SmartGridError: Naming what failed.
    """
    state = DemoState(home)
    plan = state.decide(days=days, end=end, today=today)
    console.print(
        f"The demo grid from {plan.first_day} to {plan.last_day} ({plan.days} days) in {home.root}"
    )
    began = time.monotonic()
    wishes = plan.environment | {
        name: os.environ.get(name, SEARCH_SETTINGS[name]) for name in SEARCH_SETTINGS
    }
    with (
        ProgressDisplay(console) as progress,
        run_machine(home, say=progress.say, overrides=wishes, held=[HELD_PROCESS]) as machine,
        DagsterClient(machine.addresses["dagster"], while_away=machine.raise_if_given_up) as client,
    ):
        # Only now is the home ours: somebody else's machine must not find another plan in it.
        state.keep_plan(plan)
        walk = DemoWalk(home, plan, state, machine, progress, client)
        wrong = walk.run_steps()
        progress.clear()
        walk.show(console)
        if wrong:
            raise DemoError("the demo is not right: " + "; ".join(wrong))
        console.print(
            f"[green]All is right[/green] after {time.monotonic() - began:.0f} s; "
            f"{walk.launched} runs were needed."
        )
        if stays:
            console.print("Ctrl-C stops everything; the same command goes on from here.")
            stay_up(machine)
            machine.raise_if_given_up()


@dataclass
class DemoWalk:
    """The steps of one demo; those that `state` knows as done are left out.

    Attributes:
        home: The home folder.
        plan: Which days the demo is about.
        state: What is done already.
        machine: The running processes.
        progress: Where progress is shown.
        client: Dagster's API.
        launched: Runs that were needed.
        forecast: The forecast that the model server answered; None before or without a model.
    """

    home: Home
    plan: DemoPlan
    state: DemoState
    machine: Machine
    progress: ProgressDisplay
    client: DagsterClient
    launched: int = 0
    forecast: ServedForecast | None = None
    released: float = 0.0
    """When the sensors began to look, seconds since 1970."""

    def __post_init__(self) -> None:
        self.stores = Stores.open(load_settings(self.machine.environment))

    @property
    def forecast_window(self) -> Window:
        """The day that is forecast."""
        return Window.of_day(self.plan.forecast_day)

    def run_steps(self) -> list[str]:
        """Do everything that is missing. Returns what is wrong in the end, in sentences."""
        self.step("Write the readings", "written", self._write)
        self.step("Land them", "landed", lambda: self._land("first"))
        self.step("Store the ground truth", "truth", self._store_truth)
        materializer = self._start_dagster()
        self.step("Bring them to hourly truth", "first_days", lambda: self._open_days(materializer))
        self.step("Let features follow them", "followed", lambda: self._follow(materializer))
        self.step(
            "Drop what came late into the landing folder; its days are opened again",
            "late_days",
            lambda: self._drop_late(materializer),
        )
        self.progress.say("Features, models, forecast, alerts, insights")
        for job in JOBS:
            first, last = self._find_days(job)
            materializer.run_missing(job, first=first, last=last)
        if materializer.launched:
            materializer.wait_until_sensors_idle(since=time.time())
            materializer.run_job(MAKE_PAGES)
        self.launched = materializer.launched
        return self._list_problems()

    def show(self, console: Console) -> None:
        """Print tables, checks, leaderboard, decision, forecast, alerts, insights and addresses."""
        warehouse = self.stores.warehouse
        show.show_sizes(measure_tables(warehouse.url, self.stores.lake), console)
        show.show_checks(self.client.list_checks(), console)
        show.show_leaderboard(read_leaderboard(warehouse), console)
        show.show_decision(read_newest_decision(warehouse), console)
        if self.forecast is None:
            console.print("[yellow]The model server has no model[/yellow]: the naive row stands in")
        else:
            server = self.machine.addresses["model_server"]
            show.show_forecast(self.forecast, console, server=server)
        show.show_alerts(read_open_alerts(warehouse), console)
        show_standing(warehouse.read(InsightPages), console)
        show.show_addresses(self.machine.addresses, console)
        late = self.state.read_facts("late_days")
        if "seconds" in late:
            console.print(describe_lag(late["seconds"]))

    def step(self, title: str, name: str, work: Callable[[], None]) -> None:
        """Do one step, with its title and duration, unless it is done already."""
        if self.state.is_done(name):
            return
        self.progress.say(title)
        start = time.monotonic()
        work()
        if not self.state.is_done(name):
            self.state.finish(name)
        self.progress.say(f"  took {time.monotonic() - start:.1f} s")

    def _write(self) -> None:
        folder = self.home.root / "demo"
        manifest = write_demo(
            folder / "first",
            end=self.plan.end,
            days=self.plan.days,
            seed=self.plan.seed,
            aside=folder,
            progress=self.progress.show_count,
        )
        self.state.finish(
            "written",
            first=as_text(manifest.first_files),
            late=as_text(manifest.late_files),
            truth=str(manifest.planted_faults),
        )

    def _land(self, which: str) -> None:
        files = [Path(name) for name in self.state.read_facts("written")[which]]
        for report in land_files(files, stores=self.stores, progress=self.progress.show_count):
            self.progress.say(f"  {describe_report(report)}")
            if report.status not in ("landed", "already_landed"):
                raise DemoError(f"{report.source} was {report.status}: {report.message}")

    def _store_truth(self) -> None:
        truth = pl.read_parquet(self.state.read_facts("written")["truth"])
        self.stores.warehouse.replace(PlantedFaults, PlantedFaults.validate(truth, cast=True))

    def _start_dagster(self) -> Materializer:
        """Wait for all processes; the topology is read before any sensor starts.

        Whatever hangs on it would be computed twice.
        """
        self.progress.say("Start the rest")
        supervisor = self.machine.supervisor
        supervisor.wait(name for name in supervisor.services if name != HELD_PROCESS)
        materializer = Materializer(
            self.client,
            self.progress,
            self.machine.raise_if_given_up,
            wake=lambda: notify_listeners(self.stores.warehouse.url),
        )
        materializer.wait_until_loaded()
        self.released = time.time()
        if not self.client.list_runs(statuses=["QUEUED"]):
            materializer.queue_missing(
                READ_TOPOLOGY, first=self.plan.first_day, last=self.plan.last_day
            )
        supervisor.release(HELD_PROCESS)
        supervisor.wait()
        return materializer

    def _open_days(self, materializer: Materializer) -> None:
        """Make the days that the sensor finds in the journal of the landings."""
        materializer.wait_for_ticks(self.released, of=[REOPENING_SENSOR])
        materializer.run_missing(REFRESH_DAYS, first=self.plan.first_day, last=self.plan.last_day)

    def _follow(self, materializer: Materializer) -> None:
        """Wait until what hangs on the days has followed, before anything is learned from it."""
        materializer.wait_until_sensors_idle(since=time.time(), of=[FOLLOWING_SENSOR])

    def _drop_late(self, materializer: Materializer) -> None:
        """Put the late files into the landing folder and measure how soon features know them."""
        materializer.wait_until_idle(backfills=True)
        files = [Path(name) for name in self.state.read_facts("written")["late"]]
        dropped = time.time()
        for file in files:
            drop_file(file, self.stores.settings.landing_place)
        self._wait_until_landed(files, materializer)
        sensors = [LANDING_SENSOR, REOPENING_SENSOR, FOLLOWING_SENSOR]
        materializer.wait_until_sensors_idle(since=dropped, of=sensors)
        made = {
            asset: self.client.list_materialization_times(asset, after=dropped)
            for asset in ("feeder_load", "load_features")
        }
        if all(made.values()):  # else a demo that was killed here had them landed before
            seconds = {asset: max(times) - dropped for asset, times in made.items()}
            self.progress.say(f"  {describe_lag(seconds)}")
            self.state.finish("late_days", seconds=seconds)

    def _wait_until_landed(self, files: Sequence[Path], materializer: Materializer) -> None:
        """Wait until a run has landed the files. Raises DemoError if none does, or it refuses."""
        missing = {file.name for file in files}
        end = time.monotonic() + LANDING_PATIENCE_S
        while missing := missing - set(self.stores.warehouse.read(LandedFiles)["source"]):
            if time.monotonic() > end:
                raise DemoError(
                    f"{', '.join(sorted(missing))} was not landed in {LANDING_PATIENCE_S:.0f} s:"
                    " the runs of land_files say why"
                )
            self.machine.raise_if_given_up()
            time.sleep(0.2)
        materializer.wait_until_idle()

    def _find_days(self, job: str) -> tuple[date, date]:
        """Return first and last day of a job.

        Readings end the day before the forecast; features reach into the forecast day.
        """
        if job in ("forecast_day", "raise_alerts"):
            return self.plan.forecast_day, self.plan.forecast_day
        if job == "build_features":
            return self.plan.first_day, self.plan.forecast_day
        return self.plan.first_day, self.plan.last_day

    def _list_problems(self) -> list[str]:
        refused = [
            f"{check.name} of {check.asset}"
            for check in self.client.list_checks()
            if check.is_refused and (check.blocks or check.name == TRUTH_CHECK)
        ]
        wanted = {job: self._find_days(job) for job in JOBS}
        wrong = list_problems(self.client.list_assets(), wanted=wanted, refused=refused)
        try:
            self.forecast = request_forecast(self.stores, window=self.forecast_window)
        except ModelUnavailableError as error:
            published = Path(self.stores.settings.model_place) / LOAD_FORECASTER
            if any(published.glob("[0-9]*")):
                wrong.append(str(error))
        return wrong


def drop_file(file: Path, folder: Path) -> None:
    """Put a copy of the file into the folder, whole or not at all."""
    scratch = folder / f".{file.name}.part"
    shutil.copyfile(file, scratch)
    scratch.replace(folder / file.name)


def describe_lag(seconds: Mapping[str, float]) -> str:
    """Return how long after a file was dropped its days were in each table.

    >>> describe_lag({"feeder_load": 9.8, "load_features": 14.2})
    'The late file was in feeder_load after 10 s, in load_features after 14 s'
    """
    parts = ", ".join(f"in {table} after {value:.0f} s" for table, value in seconds.items())
    return f"The late file was {parts}"
