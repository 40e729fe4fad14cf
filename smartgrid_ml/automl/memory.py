"""The memory that a process holds."""

import contextlib

import psutil


def measure_memory_mb(pid: int | None = None, *, with_children: bool = False) -> float:
    """Return the resident memory of a process, MB (1e6 bytes); of this one if no `pid` is given.

    `with_children` adds all processes below it. A process that has ended meanwhile counts nothing.
    """
    total = 0
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        children = parent.children(recursive=True) if with_children else []
        for process in [parent, *children]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total / 1e6
