"""SIGINT and SIGTERM: what they raise, and when nobody listens."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """SIGINT or SIGTERM came. Not an Exception, so that nothing on the way swallows it."""


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Raise Stopped in the main thread for SIGINT and SIGTERM while the block runs."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    kept = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def ignore_signals() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM in the block: a second Ctrl-C would leave processes behind."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    kept = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
