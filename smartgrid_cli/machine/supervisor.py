"""Keeps a set of processes running: starts in order, restarts what dies, stops in reverse."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from smartgrid_cli.machine.child_process import Child
from smartgrid_core.errors import ServerError

TICK_S = 0.2
"""How soon a death is noticed, s."""
READY_TIMEOUT_S = 240.0
"""The slowest start (TensorFlow on a cold disk, with two cores that all share) takes a minute."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
"""Who dies again and again is started again ever more slowly."""
STEADY_S = 60.0
"""Who lived so long is forgiven its earlier deaths."""
STEADY_STATES = ("ready", "held", "given up")
"""A service leaves them only when it dies or is released: a look now and then is enough."""
MOST_DEATHS = 10
"""In a row; then it is given up, and the supervisor says so."""


@dataclass
class Service:
    """A child and its place: `needs` must be ready before it starts.

    Attributes:
        child: The process.
        needs: Names of the services that must be ready first.
        deaths: Deaths in a row.
        started_at: Monotonic time of the last start, s.
        start_again_at: Monotonic time of the next start, s; None if it may start at once.
        last_word: Why it died last, in words.
    """

    child: Child
    needs: Sequence[str] = ()
    deaths: int = 0
    started_at: float = 0.0
    start_again_at: float | None = None
    state: str = "waiting"
    """held, waiting, starting, ready, dead, given up, stopped"""
    last_word: str = ""


@dataclass
class Supervisor:
    """Starts, watches and stops the children in a thread of its own.

    The kernel ends a child together with the thread that started it, so that thread has to outlive
    them all.

    Attributes:
        services: The services by name, in order of their start.
        say: Called with what happens, for people.
        housekeeping: Called with every step.
    """

    services: dict[str, Service]
    say: Callable[[str], None]
    housekeeping: Callable[[], None] = field(default=lambda: None)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None
    _last_complaint: str = ""

    @classmethod
    def of(cls, *services: Service, say: Callable[[str], None]) -> "Supervisor":
        """Return a supervisor of these services; one needs only services that come before it."""
        known: dict[str, Service] = {}
        for service in services:
            unknown = {*service.needs} - known.keys()
            if unknown:
                raise ValueError(f"{service.child.name} needs {sorted(unknown)}, which come later")
            known[service.child.name] = service
        return cls(known, say)

    def start(self) -> None:
        """Begin to start all that is not held, and keep it running until `stop`."""
        self._keeper = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self._keeper.start()

    def wait(self, names: Iterable[str] | None = None, *, seconds: float = READY_TIMEOUT_S) -> None:
        """Wait until these (all for None) are ready. Raises ServerError naming the others."""
        end = time.monotonic() + seconds
        wanted = list(self.services if names is None else names)
        while late := [
            self.services[name] for name in wanted if self.services[name].state != "ready"
        ]:
            if any(service.state == "given up" for service in late) or time.monotonic() > end:
                raise ServerError(
                    "; ".join(service.last_word or service.child.explain_end() for service in late)
                )
            time.sleep(0.05)

    def release(self, name: str) -> None:
        """Let a held one start."""
        with self._lock:
            if self.services[name].state == "held":
                self.services[name].state = "waiting"

    def stop(self) -> None:
        """Stop all; a service stops before those that it needs."""
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join()

    @property
    def given_up(self) -> list[str]:
        """The last words of those that were given up."""
        return [
            service.last_word for service in self.services.values() if service.state == "given up"
        ]

    def _keep(self) -> None:
        """Start and watch until stopped, then stop all; the body of the thread."""
        while not self._stopping.is_set():
            with self._lock:
                self._step(time.monotonic())
            self._keep_house()
            is_steady = all(each.state in STEADY_STATES for each in self.services.values())
            self._stopping.wait(TICK_S if is_steady else TICK_S / 2)
        for service in reversed(self.services.values()):
            service.child.stop()
            service.state = "stopped"

    def _keep_house(self) -> None:
        """Do the housekeeping, which may fail (on a full disk) without harm to the children."""
        try:
            self.housekeeping()
        except OSError as error:
            if str(error) != self._last_complaint:
                self._last_complaint = str(error)
                self.say(f"housekeeping failed and goes on: {error}")

    def _step(self, now: float) -> None:
        """Look at every service once: notice deaths and readiness, and start what may start."""
        for service in self.services.values():
            if service.state in ("starting", "ready") and not service.child.is_alive():
                self._handle_death(service, now)
            elif service.state == "starting" and service.child.is_ready():
                service.state = "ready"
                if service.deaths:
                    self.say(f"{service.child.name} is back")
            elif service.state == "ready" and now - service.started_at > STEADY_S:
                service.deaths = 0
        for service in self.services.values():
            due = service.start_again_at is None or now >= service.start_again_at
            if service.state in ("waiting", "dead") and due and self._may_start(service):
                self._begin(service, now)

    def _may_start(self, service: Service) -> bool:
        return all(self.services[name].state == "ready" for name in service.needs)

    def _begin(self, service: Service, now: float) -> None:
        try:
            service.child.start()
        except Exception as error:  # whatever it is, the others go on and this one is tried again
            service.last_word = f"{service.child.name} cannot be started: {error}"
            self._plan_restart(service, now)
            return
        service.state, service.started_at = "starting", now

    def _handle_death(self, service: Service, now: float) -> None:
        """Plan the next start of a service that died."""
        service.last_word = service.child.explain_end()
        self._plan_restart(service, now)

    def _plan_restart(self, service: Service, now: float) -> None:
        """Plan the next start after a pause that grows; give up after too many deaths."""
        service.deaths += 1
        if service.deaths > MOST_DEATHS:
            service.state = "given up"
            self.say(f"{service.last_word}. It died {service.deaths} times and is given up")
            return
        pause = min(FIRST_PAUSE_S * 2 ** (service.deaths - 1), LONGEST_PAUSE_S)
        service.state, service.start_again_at = "dead", now + pause
        self.say(f"{service.last_word}. Starting it again in {pause:g} s")
