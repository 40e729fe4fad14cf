"""How other processes ask the warm image: start a process, send it a signal, learn of its end."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smartgrid_cli.machine.home import is_same_process, read_create_time
from smartgrid_core.errors import ServerError

LONGEST_LINE = 4_000_000
"""Bytes of one request: arguments and environment."""
PATIENCE_S = 30.0
"""An image that imports answers late; one that hangs shall not hang its clients for ever."""


def open_socket_folder(path: Path) -> tuple[int, str]:
    """Return an open handle on the socket's folder and a short address for the socket.

    The kernel takes about 100 bytes of an address. A home may lie deeper than that: on Linux the
    handle leads there.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    has_handles = sys.platform == "linux"
    return folder, f"/proc/self/fd/{folder}/{path.name}" if has_handles else str(path)


def name_run(run_id: str) -> str:
    """Return what the image calls the process of a run."""
    return f"run/{run_id}"


class ImageConnection:
    """A connection to the image, one question at a time.

    Args:
        path: The image's socket.

    Raises:
        ServerError: If nobody listens there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._received = b""
        try:
            folder, address = open_socket_folder(path)
        except OSError as error:
            raise ServerError(f"nobody starts processes at {path}: {error.strerror}") from error
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(PATIENCE_S)
            self._socket.connect(address)
        except OSError as error:
            self._socket.close()
            raise ServerError(f"nobody starts processes at {path}: {error}") from error
        finally:
            os.close(folder)

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a question. Raises ServerError if there is none, or an error."""
        try:
            self._socket.sendall(json.dumps(question).encode() + b"\n")
            answer = self.read(PATIENCE_S)
        except OSError as error:
            raise ServerError(f"what starts processes at {self._path} is gone: {error}") from error
        if answer is None:
            raise ServerError(f"what starts processes at {self._path} does not answer")
        if "error" in answer:
            raise ServerError(str(answer["error"]))
        return answer

    def read(self, seconds: float | None) -> dict[str, Any] | None:
        """Return the next line; None if there is none within the time (None: wait for ever).

        Raises ConnectionError if the image is gone.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._received:
            left = None if end is None else max(0.0, end - time.monotonic())
            readable, _, _ = select.select([self._socket], [], [], left)
            if not readable:
                return None
            piece = self._socket.recv(65_536)
            if not piece:
                raise ConnectionError("the other end closed the connection")
            self._received += piece
        line, self._received = self._received.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let go of the image; what it started runs on."""
        self._socket.close()


class WarmProcess:
    """A process that the image started, with the methods of `subprocess.Popen` that are needed.

    Args:
        path: The image's socket.
        name: What it is called.
        argv: A module and its arguments, as after `python -m`.
        environment: All its variables.
        log: The file that takes its output; None for the image's own.

    Raises:
        ServerError: If it cannot be started.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path | None,
    ) -> None:
        self._name = name
        self._image = ImageConnection(path)
        answer = self._image.ask(
            {
                "name": name,
                "argv": list(argv),
                "environment": dict(environment),
                "log": None if log is None else str(log),
            }
        )
        self.pid = int(answer["pid"])
        self._created = read_create_time(self.pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended (its code, or the signal negated); None while it runs."""
        return self._await_exit(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended. Raises TimeoutExpired if it still runs after `timeout` s."""
        code = self._await_exit(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._name, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def _await_exit(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            try:
                answer = self._image.read(seconds)
            except (OSError, ValueError):
                self.returncode = self._await_orphan(seconds)
            else:
                self.returncode = None if answer is None else int(answer["exit"])
            if self.returncode is not None:
                self._image.close()
        return self.returncode

    def _await_orphan(self, seconds: float | None) -> int | None:
        """Wait for a process whose image is gone: the kernel ends it too, and nobody says how."""
        end = None if seconds is None else time.monotonic() + seconds
        while self._created is not None and is_same_process(self.pid, self._created):
            if end is not None and time.monotonic() >= end:
                return None
            time.sleep(0.05)
        return -int(signal.SIGKILL)


def send_signal(path: Path, name: str, number: int) -> int | None:
    """Send a signal to the image's process of the name, 0 to ask; None if there is none.

    Raises ServerError if nobody listens at `path`.
    """
    image = ImageConnection(path)
    try:
        answer = image.ask({"name": name, "signal": number})
    finally:
        image.close()
    return None if answer["pid"] is None else int(answer["pid"])
