"""The home folder: where things lie in it, who holds it, and what the holder says of itself."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from smartgrid_core.errors import ConfigurationError


class HomeInUseError(ConfigurationError):
    """Another process holds the home; the text names it and where it answers."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below the home folder; nothing of the product is written elsewhere on this machine.

    Attributes:
        root: The home folder.
    """

    root: Path

    @property
    def run(self) -> Path:
        """What holds only while processes run: records of them, the lock."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One file per process, cut to size."""
        return self.root / "logs"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def data_docs(self) -> Path:
        """The pages that Great Expectations builds."""
        return self.root / "data_docs"

    @property
    def demo(self) -> Path:
        """The file that keeps what the demo has decided and done."""
        return self.root / "demo.json"

    @property
    def tree(self) -> str:
        """A name that the processes of this home carry in their environment; it never changes."""
        return str(read_json(self.root / "home.json")["tree"])

    def make(self) -> "Home":
        """Make the folders, for the owner alone; fine if they are there.

        PostgreSQL's programs run as somebody else when we are root: the root folder can be
        entered, not listed.
        """
        self.refuse_file()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the folder {self.root} cannot be made ({error.strerror}): "
                "name another one in SMARTGRID_HOME"
            ) from error
        if not (self.root / "home.json").exists() and self._list_strangers():
            raise ConfigurationError(
                f"{self.root} holds other things ({', '.join(self._list_strangers()[:3])}): give"
                " SMARTGRID_HOME a folder of its own, for example .smartgrid"
            )
        for folder in (self.run, self.logs, self.dagster, self.data_docs):
            folder.mkdir(exist_ok=True, mode=0o700)
        (self.root / "landing").mkdir(exist_ok=True)
        self.root.chmod(0o711)
        if not (self.root / "home.json").exists():
            write_json(self.root / "home.json", {"tree": f"smartgrid-{secrets.token_hex(8)}"})
        return self

    def refuse_file(self) -> None:
        """Raise ConfigurationError if a file stands where the home or a folder above it should."""
        there = next(path for path in (self.root, *self.root.parents) if path.exists())
        if not there.is_dir():
            raise ConfigurationError(f"{there} is no folder: name a folder in SMARTGRID_HOME")

    def _list_strangers(self) -> list[str]:
        """Return what lies in the root and is not ours: a folder of others must not be removed."""
        ours = {
            "demo.json",
            *("landing", "lake", "models", "postgres", "demo", "mlflow", "mirrored"),
        }
        ours |= {"run", "logs", "dagster", "data_docs"}
        return sorted(entry.name for entry in self.root.iterdir() if entry.name not in ours)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the home alone. Raises HomeInUseError naming who holds it.

        The lock is the kernel's: it goes with the process, however that ends.
        """
        with (self.run / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HomeInUseError(self._describe_holder()) from None
            self.publish_addresses({})
            try:
                yield
            finally:
                (self.run / "up.json").unlink(missing_ok=True)

    def publish_addresses(self, addresses: Mapping[str, str], **facts: Any) -> None:
        """Write a note with the addresses of the machine and further facts; it holds no secret."""
        myself = psutil.Process()
        note = {
            "pid": myself.pid,
            "create_time": myself.create_time(),
            "addresses": dict(addresses),
            **facts,
        }
        write_json(self.run / "up.json", note)

    def read_up_note(self) -> dict[str, Any] | None:
        """Return the note of the process that holds the home, None if there is none alive."""
        note = read_json(self.run / "up.json")
        return note if note and is_same_process(note["pid"], note["create_time"]) else None

    def wait_until_free(self, *, seconds: float) -> bool:
        """Wait for the holder to end; False if it still holds after `seconds`."""
        end = time.monotonic() + seconds
        while self.read_up_note() is not None:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def _describe_holder(self) -> str:
        note = self.read_up_note()
        if note is None:
            return f"{self.root} is in use by a process that is starting or stopping; try again"
        if not note["addresses"]:
            return f"{self.root} is in use: process {note['pid']} is starting everything there"
        where = ", ".join(f"{name} {url}" for name, url in note["addresses"].items())
        return (
            f"{self.root} is in use: process {note['pid']} runs everything there ({where}). "
            "See `smartgrid status`; stop it with Ctrl-C in its terminal or `smartgrid down`"
        )


def is_same_process(pid: int, create_time: float) -> bool:
    """Return whether the recorded process still runs, and not another one under its number."""
    try:
        process = psutil.Process(pid)
        return (
            abs(process.create_time() - create_time) < 1.0
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False


def read_create_time(pid: int) -> float | None:
    """Return when the process began, s since 1970; None if there is none of that number."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def read_json(path: Path) -> dict[str, Any]:
    """Return what `write_json` wrote; empty if there is no file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file in one step, readable for the owner alone."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(dict(content), file, indent=2, default=str)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
