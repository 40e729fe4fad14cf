"""One supervised process: how it is started, known to be ready, recorded, logged and stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psutil

from smartgrid_cli.machine.home import Home, is_same_process, read_json, write_json
from smartgrid_cli.machine.warm_socket import WarmProcess

TREE_VARIABLE = "SMARTGRID_TREE"
"""Marks every process of a home in its environment, so that orphans of orphans are found."""
LOG_LIMIT_BYTES = 10_000_000
"""A log that is longer makes room for a new one; one old one is kept."""
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")


class Child(Protocol):
    """A process as the supervisor sees it."""

    name: str

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        ...

    def start(self) -> None:
        """Start the process; what an earlier one left behind is gone by then."""
        ...

    def is_alive(self) -> bool:
        """Return whether there is a process."""
        ...

    def is_ready(self) -> bool:
        """Return whether the process answers."""
        ...

    def stop(self) -> None:
        """Ask the process to end, and end it if it does not."""
        ...

    def explain_end(self) -> str:
        """Return how the process ended and where its log is."""
        ...


class CommandChild:
    """A program of ours in a session of its own: Ctrl-C in the terminal does not reach it.

    Args:
        name: Name of the process; its log and record are named by it.
        command: The program and its arguments. It never holds a secret (`ps` shows it to
            everybody): those are in `environment`.
        home: The home folder.
        environment: Variables in addition to the parent's.
        ready: Whether the process answers.
        port: Port at which the process itself must listen to be ready; None for no such port.
        before_start: Called before each start.
        patience: Time between SIGTERM and SIGKILL, s.
        image: Socket of the warm image that a Python module is started by; None to start it anew.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        home: Home,
        environment: Mapping[str, str],
        ready: Callable[[], bool],
        port: int | None = None,
        before_start: Callable[[], None] | None = None,
        patience: float = 10.0,
        image: Path | None = None,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._home = home
        self._environment = {**os.environ, **environment, TREE_VARIABLE: f"{home.tree}/{name}"}
        self._ready = ready
        self._port = port
        self._before_start = before_start
        self._patience = patience
        self._image = image
        self._process: subprocess.Popen[bytes] | WarmProcess | None = None
        self._exit: int | None = None

    @property
    def log(self) -> Path:
        """The file that takes its output."""
        return self._home.logs / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return self._process.pid if self._process is not None and self.is_alive() else None

    def start(self) -> None:
        """Start the process, after ending what an earlier one of this name left behind."""
        remove_leftovers(self._home, self.name)
        if self._before_start is not None:
            self._before_start()
        rotate_log(self.log)
        self.log.touch(mode=0o600)
        self._process = self._spawn() if self._image is None else self._fork(self._image)
        self._exit = None
        record_child(self._home, self.name, self._process.pid)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own program, no shell
                [
                    *(sys.executable, "-I", "-S", str(DIE_WITH_PARENT)),
                    *(str(os.getpid()), str(int(signal.SIGTERM))),
                    *self._command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def _fork(self, image: Path) -> WarmProcess:
        interpreter, option, *argv = self._command
        if (interpreter, option) != (sys.executable, "-m"):
            raise ValueError(f"{self.name} is no Python module: {self._command[:2]}")
        return WarmProcess(image, self.name, argv, environment=self._environment, log=self.log)

    def is_alive(self) -> bool:
        """Return whether there is a process."""
        if self._process is None:
            return False
        self._exit = self._process.poll()
        return self._exit is None

    def is_ready(self) -> bool:
        """Return whether the process answers, and nobody else answers at its port."""
        return self._ready() and (self._port is None or listens_at(self.pid, self._port))

    def stop(self) -> None:
        """Send SIGTERM, wait, then SIGKILL to it and all that it started."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(self._patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(self._patience)
        self._process = None
        remove_leftovers(self._home, self.name)

    def explain_end(self) -> str:
        """Return how the process ended and where its log is."""
        code = self._exit
        if code is None:
            how = "does not answer"
        elif code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with code {code}"
        return f"{self.name} {how}; see {self.log}"


def listens_at(pid: int | None, port: int) -> bool:
    """Return whether the process, or one that it started, takes connections at the port."""
    if pid is None:
        return False
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return False
    return any(_has_listener(process, port) for process in family)


def _has_listener(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections("tcp")
    except psutil.Error:
        return False  # it has just ended
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


def record_child(home: Home, name: str, pid: int) -> None:
    """Record a child for the time after its supervisor's end."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.Error:
        created = time.time()
    write_json(home.run / f"{name}.json", {"name": name, "pid": pid, "create_time": created})


def find_recorded_child(home: Home, name: str) -> psutil.Process | None:
    """Return the process that was recorded under the name, if it still runs."""
    note = read_json(home.run / f"{name}.json")
    if note and is_same_process(note["pid"], note["create_time"]):
        return psutil.Process(note["pid"])
    return None


def find_leftovers(
    home: Home, name: str | None = None, *, keep: Sequence[str] = ()
) -> list[psutil.Process]:
    """Return the processes of this home (of one child for `name`) that nobody waits for any more.

    They are known by their record or by the mark in their environment, children's children too.
    Those of the children named in `keep` are left out.
    """
    notes = [path.stem for path in home.run.glob("*.json")] if name is None else [name]
    found = {
        process.pid: process
        for process in (
            find_recorded_child(home, note) for note in notes if note not in ("up", *keep)
        )
        if process is not None
    }
    for process in psutil.process_iter():
        try:
            tree, _, child = process.environ().get(TREE_VARIABLE, "").partition("/")
        except (psutil.Error, OSError):
            continue  # it is gone, or another user's: not ours in either case
        if tree == home.tree and child not in keep and name in (None, child):
            found[process.pid] = process
    found.pop(os.getpid(), None)
    return list(found.values())


def remove_leftovers(home: Home, name: str | None = None, *, keep: Sequence[str] = ()) -> int:
    """Kill the processes of `find_leftovers`, remove their records, return how many there were."""
    processes = find_leftovers(home, name, keep=keep)
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)
    for path in home.run.glob("*.json") if name is None else [home.run / f"{name}.json"]:
        if path.stem not in ("up", *keep):
            path.unlink(missing_ok=True)
    return len(processes)


def rotate_log(log: Path, *, limit: int = LOG_LIMIT_BYTES) -> None:
    """Copy a log that is too long aside and cut it; its writer writes on.

    A copy is kept and the file is cut, since a renamed file would still be written to.
    """
    if log.exists() and log.stat().st_size > limit:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        log.with_suffix(".log.1").chmod(0o600)
        os.truncate(log, 0)
