"""Which port a process gets: the one it is known for, or the next that is free."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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


@dataclass
class Reservations:
    """Ports that are reserved but not listened at yet; others see them as taken until `release`.

    Two machines that start at the same moment would otherwise choose the same ports.

    Attributes:
        folder: Folder of the lock files.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    _held: dict[int, int] = field(default_factory=dict)

    def take(self, port: int) -> bool:
        """Return whether the port was free; it is reserved then."""
        place = self.folder / f"smartgrid-port-{port}.lock"
        try:
            lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return False  # another user's machine
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        if not is_free(port):
            os.close(lock)
            return False
        self._held[port] = lock
        return True

    def release(self) -> None:
        """Release all of them. The lock files stay: removing one could free it for two."""
        for lock in self._held.values():
            os.close(lock)
        self._held.clear()


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
