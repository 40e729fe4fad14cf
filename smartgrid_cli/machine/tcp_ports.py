"""Which port a process gets: the one it is known for, or the next that is free."""

import fcntl
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from smartgrid_core.errors import ConfigurationError

LOCALHOST = "127.0.0.1"
SEARCHED = 200
"""Further away from the known port it would not be found by anybody anyway."""


@dataclass(frozen=True, slots=True)
class MovedPort:
    """A process that answers at another port than it is known for.

    Attributes:
        name: Name of the process.
        wanted: The port that it is known for.
        got: The port at which it answers.
    """

    name: str
    wanted: int
    got: int

    def __str__(self) -> str:
        return f"{self.name}: port {self.wanted} is taken, using {self.got}"


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port, on localhost and on every other address."""
    for host in (LOCALHOST, "0.0.0.0"):  # noqa: S104 - a probe; who listens there would shadow us
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


class Reservations:
    """Ports that are reserved but not listened at yet; others see them as taken until `release`.

    Two machines that start at the same moment would otherwise choose the same ports. A reservation
    ends with its process, however that ends, and is as good for one user as for another.
    """

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}

    def take(self, port: int) -> bool:
        """Return whether the port was free; it is reserved then."""
        held = _hold_name(port) if sys.platform == "linux" else _hold_file(port)
        if held is None:
            return False
        if not is_free(port):
            held.close()
            return False
        self._held[port] = held
        return True

    def release(self) -> None:
        """Release all of them."""
        for held in self._held.values():
            held.close()
        self._held.clear()


class _Held(Protocol):
    """What nobody else can hold until it is closed, or its process has ended."""

    def close(self) -> None:
        """Let go of it."""
        ...


def _hold_name(port: int) -> _Held | None:
    """Return a Unix socket bound to the port's abstract name; None if somebody else holds it.

    Such a name is no file: it has no owner and no rights, lives in the network namespace as the
    port itself does, and is gone with its process.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind(f"\0smartgrid-port-{port}")
    except OSError:
        name.close()
        return None
    return name


def _hold_file(port: int) -> _Held | None:
    """Return a locked file of this user's own; None if another process of the user has it.

    Where there are no abstract names. The file stays: removing one could free it for two.
    """
    folder = Path(tempfile.gettempdir()) / f"smartgrid-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = (folder / f"{port}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def choose_ports(
    wanted: Mapping[str, int], *, free: Callable[[int], bool] = is_free
) -> tuple[dict[str, int], list[MovedPort]]:
    """Return one port per name, all different; and which processes had to move.

    A wanted port that is free is granted before anybody moves, so that nobody moves onto it. Raises
    ConfigurationError if no port near the wanted one is free.
    """
    granted: dict[str, int] = {}
    for name, wish in wanted.items():
        if wish not in granted.values() and free(wish):
            granted[name] = wish
    moved = []
    for name, wish in wanted.items():
        if name in granted:
            continue
        for port in range(wish + 1, min(wish + SEARCHED, 65535) + 1):
            if port not in granted.values() and free(port):
                granted[name] = port
                moved.append(MovedPort(name, wish, port))
                break
        else:
            raise ConfigurationError(
                f"no port from {wish} on is free for {name}: set SMARTGRID_PORT_{name.upper()}"
            )
    return {name: granted[name] for name in wanted}, moved
