"""What benchmarks measure of a process."""

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """The most memory that this process ever held.

    By the kernel's own account where it has one: ru_maxrss starts from what the parent held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
