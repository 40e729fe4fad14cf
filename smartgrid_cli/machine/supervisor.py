"""Keeps a set of processes running: starts in order, restarts what dies, stops in reverse."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from smartgrid_cli.machine.child_process import Child
from smartgrid_core.errors import ServerError

TICK_S = 0.5
"""How soon a death is noticed."""
READY_TIMEOUT_S = 240.0
"""The slowest start (TensorFlow on a cold disk, with two cores that all share) takes a minute."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
"""Who dies again and again is started again ever more slowly."""
STEADY_S = 60.0
"""Who lived so long is forgiven its earlier deaths."""
MOST_DEATHS = 8
"""In a row; then it is given up, and the supervisor says so."""


@dataclass
class Service:
    """A child and its place: `needs` must be ready before it starts.

    If one of `falls_with` dies, this one is started again with it.

    Attributes:
        child: The process.
        needs: Names of the services that must be ready first.
        falls_with: Names of the services whose death ends this one.
        deaths: Deaths in a row.
        started_at: Monotonic time of the last start, s.
        start_again_at: Monotonic time of the next start, s; None if it may start at once.
        last_word: Why it died last, in words.
    """

    child: Child
    needs: Sequence[str] = ()
    falls_with: Sequence[str] = ()
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
        posts: The services by name, in order of their start.
        say: Called with what happens, for people.
        housekeeping: Called with every step.
    """

    posts: dict[str, Service]
    say: Callable[[str], None]
    housekeeping: Callable[[], None] = field(default=lambda: None)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None
    _last_complaint: str = ""

    @classmethod
    def of(cls, *posts: Service, say: Callable[[str], None]) -> "Supervisor":
        """Return a supervisor of these services; one needs only services that come before it."""
        known: dict[str, Service] = {}
        for post in posts:
            unknown = {*post.needs, *post.falls_with} - known.keys()
            if unknown:
                raise ValueError(f"{post.child.name} needs {sorted(unknown)}, which come later")
            known[post.child.name] = post
        return cls(known, say)

    def start(self) -> None:
        """Begin to start all that is not held, and keep it running until `stop`."""
        self._keeper = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self._keeper.start()

    def wait(self, names: Iterable[str] | None = None, *, seconds: float = READY_TIMEOUT_S) -> None:
        """Wait until these (all for None) are ready. Raises ServerError naming the others."""
        end = time.monotonic() + seconds
        wanted = list(self.posts if names is None else names)
        while late := [self.posts[name] for name in wanted if self.posts[name].state != "ready"]:
            if any(post.state == "given up" for post in late) or time.monotonic() > end:
                raise ServerError(
                    "; ".join(post.last_word or post.child.explain_end() for post in late)
                )
            time.sleep(0.05)

    def release(self, name: str) -> None:
        """Let a held one start."""
        with self._lock:
            if self.posts[name].state == "held":
                self.posts[name].state = "waiting"

    def stop(self) -> None:
        """Stop all; a service stops before those that it needs."""
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join()

    @property
    def given_up(self) -> list[str]:
        """The last words of those that were given up."""
        return [post.last_word for post in self.posts.values() if post.state == "given up"]

    def _keep(self) -> None:
        """Start and watch until stopped, then stop all; the body of the thread."""
        while not self._stopping.is_set():
            with self._lock:
                self._step(time.monotonic())
            self._keep_house()
            is_settled = all(p.state in ("ready", "held", "given up") for p in self.posts.values())
            self._stopping.wait(TICK_S if is_settled else TICK_S / 5)
        for post in reversed(self.posts.values()):
            post.child.stop()
            post.state = "stopped"

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
        for post in self.posts.values():
            if post.state in ("starting", "ready") and not post.child.is_alive():
                self._handle_death(post, now)
            elif post.state == "starting" and post.child.is_ready():
                post.state = "ready"
                if post.deaths:
                    self.say(f"{post.child.name} is back")
            elif post.state == "ready" and now - post.started_at > STEADY_S:
                post.deaths = 0
        for post in self.posts.values():
            due = post.start_again_at is None or now >= post.start_again_at
            if post.state in ("waiting", "dead") and due and self._may_start(post):
                self._begin(post, now)

    def _may_start(self, post: Service) -> bool:
        return all(self.posts[name].state == "ready" for name in post.needs)

    def _begin(self, post: Service, now: float) -> None:
        try:
            post.child.start()
        except Exception as error:  # whatever it is, the others go on and this one is tried again
            post.last_word = f"{post.child.name} cannot be started: {error}"
            self._plan_restart(post, now)
            return
        post.state, post.started_at = "starting", now

    def _handle_death(self, post: Service, now: float) -> None:
        """Plan the next start of a service that died, and stop what falls with it."""
        post.last_word = post.child.explain_end()
        self._plan_restart(post, now)
        for other in reversed(self.posts.values()):
            if post.child.name in other.falls_with and other.state in ("starting", "ready"):
                other.child.stop()
                other.state, other.start_again_at = "waiting", None

    def _plan_restart(self, post: Service, now: float) -> None:
        """Plan the next start after a pause that grows; give up after too many deaths."""
        post.deaths += 1
        if post.deaths > MOST_DEATHS:
            post.state = "given up"
            self.say(f"{post.last_word}. It died {post.deaths} times and is given up")
            return
        pause = min(FIRST_PAUSE_S * 2 ** (post.deaths - 1), LONGEST_PAUSE_S)
        post.state, post.start_again_at = "dead", now + pause
        self.say(f"{post.last_word}. Starting it again in {pause:.0f} s")
