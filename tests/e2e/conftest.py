"""Fixtures of the end-to-end tests: the demo as a newcomer runs it, in a home of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from smartgrid_cli.dagster_api.client import DagsterClient
from smartgrid_cli.dagster_api.transport import DagsterApiError
from smartgrid_cli.machine.home import Home, read_json

SMARTGRID = Path(sys.executable).with_name("smartgrid")
DAYS = 60
"""Enough history for a model that beats the naive rows, few enough for some minutes."""
END = "2026-11-22"
SLOW = 1500.0
TRIALS = 3
"""Models that each AutoML engine may try: all of them take part, none for long."""


@dataclass
class Machine:
    """A demo's home and how to run, watch and hurt it."""

    home: Home
    first_port: int
    search_s: float = 0.0
    """How long the AutoML engines may search together."""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `smartgrid ...`; what it says goes to `said`."""
        with self.said.open("a") as said:
            return subprocess.Popen(
                [str(SMARTGRID), *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                text=True,
                cwd=self.home.root,
            )

    def demo(self) -> subprocess.Popen[str]:
        """Start the demo, which ends by itself."""
        return self.start("demo", "--days", str(DAYS), "--end", END, "--exit")

    @property
    def said(self) -> Path:
        """What all runs printed."""
        return self.home.root.parent / f"{self.home.root.name}.out"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a newcomer, with ports that nobody else uses."""
        names = ("postgres", "mlflow", "dagster", "model_server_rest", "model_server_grpc")
        ports = {f"SMARTGRID_PORT_{n.upper()}": self.first_port + i for i, n in enumerate(names)}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMARTGRID_", "DAGSTER"))}
        return {
            **kept,
            "SMARTGRID_HOME": str(self.home.root),
            "SMARTGRID_AUTOML_BUDGET_S": str(self.search_s),
            "SMARTGRID_AUTOML_TRIALS": str(TRIALS),
            "SMARTGRID_PORT_DATA_DOCS": str(self.first_port + 9),
            **{name: str(port) for name, port in ports.items()},
        }

    def graph(self) -> DagsterClient:
        """The running Dagster, asked without patience: a moment that is waited for passes."""
        note = read_json(self.home.run / "up.json")
        return DagsterClient(note["addresses"]["dagster"], patience_s=0.0)

    def kill(self, name: str) -> int:
        """SIGKILL to a child; returns its process number."""
        pid = int(read_json(self.home.run / f"{name}.json")["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_back(self, name: str, *, instead_of: int) -> bool:
        """Does another process do the killed one's work?"""
        note = read_json(self.home.run / f"{name}.json")
        return bool(note) and note["pid"] != instead_of and psutil.pid_exists(note["pid"])

    def is_under_way(self, job: str, step: str | None = None) -> bool:
        """Is a run of the job being executed (and has the step begun)?"""
        try:
            with self.graph() as graph:
                for run in graph.list_runs(statuses=["STARTED"]):
                    if run.job == job:
                        begun = [one.name for one in graph.list_steps(run.run_id)]
                        return bool(begun) if step is None else step in begun
        except (DagsterApiError, KeyError, OSError):
            return False
        return False

    def wait(self, until: Callable[[], Any], demo: subprocess.Popen[str], what: str) -> None:
        """Wait for a moment of the demo, which must not end before."""
        end = time.monotonic() + SLOW
        while not until():
            assert demo.poll() is None, f"the demo ended before {what}: {self.last_words()}"
            assert time.monotonic() < end, f"waited in vain for {what}: {self.last_words()}"
            time.sleep(0.1)

    def last_words(self) -> str:
        """The end of what was printed."""
        return "\n".join(self.said.read_text().splitlines()[-25:])

    def finish(self, demo: subprocess.Popen[str]) -> int:
        """Its exit code; it is ended if it hangs."""
        try:
            return demo.wait(SLOW)
        except subprocess.TimeoutExpired:
            demo.terminate()
            raise


@contextmanager
def machine_in(folder: Path, *, first_port: int, search_s: float = 0.0) -> Iterator[Machine]:
    """A machine in a new home, of which nothing is left running in the end."""
    machine = Machine(Home(folder).make(), first_port, search_s)
    try:
        yield machine
    finally:
        machine.start("down").wait(120)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A home whose demo ran to its end without any disturbance; nothing runs any more."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    with machine_in(home, first_port=21000, search_s=120.0) as machine:
        code = machine.finish(machine.demo())
        assert code == 0, machine.last_words()
        yield machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A new home in which nothing has run yet."""
    with machine_in(tmp_path / "home", first_port=21100) as machine:
        yield machine
