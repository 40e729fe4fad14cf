"""A machine of its own that a benchmark starts, kills parts of and measures."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg

from smartgrid_cli.machine.home import Home, read_json

HEALTH = {
    "dagster": "/server_info",
    "mlflow": "/health",
    "model_server": "/health",
    "data_docs": "/",
}
"""Where each process that people reach says that it answers."""
POLL_S = 0.05


@dataclass
class BenchMachine:
    """`smartgrid up` in a home of the benchmark's.

    Attributes:
        home: The home folder.
        environment: Variables beside those of this process.
    """

    home: Home
    environment: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> float:
        """Start everything; return the seconds until all of it answers."""
        begun = time.monotonic()
        with (self.home.logs / "benchmark.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from smartgrid_cli.main import run; run()", "up"],
                env={**os.environ, **self.environment, "SMARTGRID_HOME": str(self.home.root)},
                stdout=log,
                stderr=log,
            )
        self.wait(self.answers, seconds=300)
        return time.monotonic() - begun

    def stop(self) -> None:
        """Stop everything in order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)
            self._process = None

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor, with which everything ends."""
        if self._process is None:
            raise RuntimeError("nothing runs")
        self._process.kill()
        self._process.wait(30)
        self._process = None

    def wait(self, until: Callable[[], bool], *, seconds: float) -> None:
        """Wait. Raises TimeoutError when it takes longer."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:.0f} s in vain; see {self.home.logs}")
            time.sleep(POLL_S)

    def read_addresses(self) -> dict[str, str]:
        """Return who answers where; empty while the supervisor starts."""
        note = self.home.read_up_note()
        return dict(note["addresses"]) if note else {}

    def find_pid(self, name: str) -> int:
        """Return the process of a service, 0 while there is none."""
        return int(read_json(self.home.run / f"{name}.json").get("pid", 0))

    def answers(self) -> bool:
        """Return whether every process answers, and Dagster has loaded the graph."""
        addresses = self.read_addresses()
        if not addresses or not all(
            _is_well(addresses[name] + path) for name, path in HEALTH.items()
        ):
            return False
        return self.find_pid("dagster_daemon") != 0 and self._loads_graph(addresses["dagster"])

    def measure_heal(self, name: str) -> float:
        """Kill a service; return the seconds until another one is there and everything answers."""
        pid = self.find_pid(name)
        begun = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: self.find_pid(name) not in (0, pid) and self.answers(), seconds=300)
        return time.monotonic() - begun

    def measure_cpu(self) -> float:
        """Return the processor seconds that the machine has used, ended processes included."""
        total = 0.0
        for process in self._list_processes():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
            if process.pid == self.find_pid("warm_image"):
                total += times.children_user + times.children_system
        return total

    def measure_memory(self) -> dict[str, float]:
        """Return the proportional memory of each service and all that it started, MB."""
        names = {self.find_pid(note.stem): note.stem for note in self.home.run.glob("*.json")}
        found: dict[str, float] = {}
        for process in self._list_processes():
            try:
                owner = next(
                    names[each.pid] for each in (process, *process.parents()) if each.pid in names
                )
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            except (psutil.Error, OSError, StopIteration):
                continue
            line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
            found[owner] = found.get(owner, 0.0) + int(line.split()[1]) / 1024
        return found

    def connect(self, database: str = "smartgrid") -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection to one of the machine's databases."""
        folder = self.home.root / "postgres"
        password, port = (folder / "password").read_text(), (folder / "port").read_text()
        url = f"postgresql://smartgrid:{password}@127.0.0.1:{port}/{database}"
        return psycopg.connect(url, autocommit=True)

    def _list_processes(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        root = psutil.Process(self._process.pid)
        return [root, *root.children(recursive=True)]

    @staticmethod
    def _loads_graph(url: str) -> bool:
        query = b'{"query": "{ repositoriesOrError { __typename } }"}'
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=5)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/graphql", query, headers)
            return b"RepositoryConnection" in connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def choose_ports(count: int) -> list[int]:
    """Return so many TCP ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _is_well(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status < http.HTTPStatus.BAD_REQUEST
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
