"""When loops that wait look again: at once when something happened, now and then if nothing did."""

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Wakeup:
    """Tells any number of waiting loops that something happened.

    Attributes:
        attention_s: How long loops stay attentive after the last event, s: what happened has
            consequences that nobody tells of.
    """

    attention_s: float = 6.0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _events: int = 0
    _last: float = float("-inf")

    def notify(self) -> None:
        """Something happened: every loop looks now."""
        with self._changed:
            self._events += 1
            self._last = time.monotonic()
            self._changed.notify_all()

    def wait(self, seen: int, *, short_s: float, idle_s: float) -> int:
        """Wait for the next look; return how many events there were until now.

        Args:
            seen: What the last call returned, 0 at first; an event since then ends the wait.
            short_s: The longest wait while something has just happened, s.
            idle_s: The longest wait otherwise, s.
        """
        begun = time.monotonic()
        with self._changed:
            while self._events == seen:
                now = time.monotonic()
                is_attentive = now - self._last < self.attention_s
                left = begun + (short_s if is_attentive else idle_s) - now
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._events


class WakeableEvent(threading.Event):
    """What a Dagster daemon waits on between two looks: its shutdown, and whatever happens.

    Args:
        shutdown: Set when the daemon has to end.
        wakeup: Tells of events.
        short_s: The longest wait while something has just happened, s.
        idle_s: The longest wait otherwise, s.
        rest_s: The shortest time between two looks, s.
    """

    def __init__(
        self,
        shutdown: threading.Event,
        wakeup: Wakeup,
        *,
        short_s: float,
        idle_s: float,
        rest_s: float = 0.2,
    ) -> None:
        super().__init__()
        self._shutdown = shutdown
        self._wakeup = wakeup
        self._short_s = short_s
        self._idle_s = idle_s
        self._rest_s = rest_s
        self._seen = 0

    def is_set(self) -> bool:
        """Return whether the daemon has to end."""
        return self._shutdown.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until something happened; `timeout`, which takes nothing into account, is not used.

        Returns whether the daemon has to end.
        """
        if self._shutdown.wait(self._rest_s):
            return True
        self._seen = self._wakeup.wait(self._seen, short_s=self._short_s, idle_s=self._idle_s)
        return self._shutdown.is_set()
