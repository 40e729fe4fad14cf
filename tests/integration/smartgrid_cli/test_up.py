"""Everything runs while its supervisor does, whatever is killed, and a lost run is tried again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import psutil
import pytest

from smartgrid_cli.dagster_api.client import DagsterClient
from smartgrid_cli.dagster_api.records import Run
from smartgrid_cli.dagster_api.transport import DagsterApiError
from smartgrid_cli.machine.child_process import find_leftovers
from smartgrid_cli.machine.home import Home, read_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("e2e")]

LOCATION = """
import time
import dagster as dg
DAY = dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-11")
@dg.asset(partitions_def=DAY, backfill_policy=dg.BackfillPolicy.single_run())
def naps(context) -> None:
    for _ in range(200):
        time.sleep(0.1)
defs = dg.Definitions(
    assets=[naps],
    jobs=[dg.define_asset_job("nap", ["naps"], executor_def=dg.in_process_executor)],
)
"""
UP = """
import sys
from pathlib import Path
from smartgrid_cli.machine.home import Home
from smartgrid_cli.machine.signals import Stopped
from smartgrid_cli.commands.up import run_machine, stay_up
try:
    with run_machine(Home(Path(sys.argv[1])).make(), say=print, code_module="napping") as machine:
        machine.supervisor.wait()
        print("all is up", flush=True)
        stay_up(machine)
except Stopped:
    sys.exit(130)
"""
DAYS = (date(2026, 3, 1), date(2026, 3, 5))


class Up:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home").make()
        self.said = folder / "said"
        (folder / "napping.py").write_text(LOCATION)
        names = ("postgres", "mlflow", "dagster", "model_server_rest", "model_server_grpc")
        ports = {f"SMARTGRID_PORT_{n.upper()}": str(22000 + i) for i, n in enumerate(names)}
        self.environment = {
            **os.environ,
            **ports,
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
            "PYTHONUNBUFFERED": "1",
        }
        self.graph: DagsterClient | None = None
        self.process = self.start()

    def end(self) -> int:
        """SIGTERM; returns its exit code."""
        if self.graph is not None:
            self.graph.close()
        self.process.terminate()
        return self.process.wait(120)

    def start(self) -> subprocess.Popen[bytes]:
        self.said.write_text("")
        with self.said.open("a") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", UP, str(self.home.root)],
                env=self.environment,
                stdout=said,
                stderr=said,
            )
        self.wait(lambda: "all is up" in self.said.read_text(), "everything")
        if self.graph is not None:
            self.graph.close()
        self.graph = DagsterClient(read_json(self.home.run / "up.json")["addresses"]["dagster"])
        self.wait(lambda: self.graph.read_load_error() is None, "the code location")
        return self.process

    def wait(self, until: Callable[[], object], what: str, seconds: float = 240.0) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert self.process.poll() is None, f"it ended: {self.said.read_text()}"
            assert time.monotonic() < end, f"waited in vain for {what}: {self.said.read_text()}"
            time.sleep(0.2)

    def pid(self, name: str) -> int:
        return int(read_json(self.home.run / f"{name}.json").get("pid", 0))

    def kill(self, name: str) -> None:
        """SIGKILL, and wait for another one in its place."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: self.pid(name) not in (0, pid), f"another {name}")

    def run_is(self, run_id: str, *, under_way: bool) -> bool:
        """Has the last try of a run begun (or succeeded)?"""
        try:
            last = self.last_try(run_id)
        except DagsterApiError:
            return False
        assert under_way or not last.has_ended or last.status != "CANCELED"
        return last.status == ("STARTED" if under_way else "SUCCESS")

    def last_try(self, run_id: str) -> Run:
        run = self.graph.list_runs(ids=[run_id])[0]
        following = run.tags.get("dagster/auto_retry_run_id")
        return self.last_try(following) if following else run


def find_run_process(home: Home) -> int:
    """The only process of the warm image that is no service of the machine."""
    services = {int(read_json(note).get("pid", 0)) for note in home.run.glob("*.json")}
    image = psutil.Process(int(read_json(home.run / "warm_image.json")["pid"]))
    (run,) = {child.pid for child in image.children()} - services
    return run


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    tmp_path.chmod(0o755)
    up = Up(tmp_path)
    yield up
    up.end()


def test_whatever_is_killed_comes_back_and_a_lost_run_is_made_good(up: Up):
    run = up.graph.launch("nap", days=DAYS, tags={})
    up.wait(lambda: up.run_is(run, under_way=True), "the run")
    for name in ("dagster_daemon", "dagster_code", "dagster", "model_server", "data_docs"):
        up.kill(name)
    assert up.graph.list_runs(ids=[run])[0].status == "STARTED", "none of them executes runs"

    up.kill("postgres")
    up.wait(lambda: up.run_is(run, under_way=True), "the run, which has to outlive the database")
    up.kill("warm_image")
    up.wait(
        lambda: up.last_try(run).run_id != run and up.run_is(run, under_way=True),
        "the second try of a run that the image took with it",
    )
    tried = up.last_try(run).run_id
    os.kill(find_run_process(up.home), signal.SIGKILL)
    up.wait(
        lambda: up.last_try(run).run_id != tried and up.run_is(run, under_way=True),
        "the third try of a run whose process was killed",
        seconds=20,
    )

    up.process.kill()
    up.process.wait()
    if sys.platform == "linux":
        end = time.monotonic() + 30
        while [p for p in find_leftovers(up.home) if p.name() != "postgres"]:
            assert time.monotonic() < end, "the kernel ends what belongs to a killed supervisor"
            time.sleep(0.2)
    up.start()
    up.wait(lambda: up.run_is(run, under_way=False), "the last try")
    (naps,) = up.graph.list_assets()
    assert sorted(naps.done) == [date(2026, 3, day) for day in range(1, 6)]
    assert naps.failed == frozenset()

    postgres = psutil.Process(up.pid("postgres"))
    assert up.end() == 130
    assert find_leftovers(up.home) == []
    assert not postgres.is_running()


def test_a_taken_port_is_replaced_by_the_next(tmp_path: Path):
    tmp_path.chmod(0o755)
    with socket.create_server(("127.0.0.1", 22002)):
        up = Up(tmp_path)
        assert "dagster: port 22002 is taken, using 22005" in up.said.read_text()
        assert up.end() == 130
