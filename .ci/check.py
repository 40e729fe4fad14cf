"""Runs the quick checks side by side and says which refused; every one must pass."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BIN = Path(sys.executable).parent
JOBS = os.environ.get("JOBS", "2")
QUICK = {
    "format": [BIN / "ruff", "format", "--check", "."],
    "lint": [BIN / "ruff", "check", "."],
    "floors": [BIN / "lint-imports"],
    "house": [sys.executable, ".ci/house.py"],
    "types": [BIN / "mypy"],
    "unit tests": [
        *(sys.executable, "-m", "pytest", "-n", JOBS, "--dist", "loadfile", "-q"),
        *("-m", "not slow", "--hypothesis-profile=quick", "tests/unit"),
    ],
}


def run(name: str) -> tuple[str, int, str, float]:
    """One check: its name, exit code, what it printed, and how long it took in s."""
    start = time.monotonic()
    done = subprocess.run(
        [str(part) for part in QUICK[name]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return name, done.returncode, done.stdout, time.monotonic() - start


def main() -> int:
    """The exit code: 0 only if all passed."""
    start = time.monotonic()
    refused = []
    with ThreadPoolExecutor(max_workers=int(JOBS)) as pool:
        for name, code, output, seconds in pool.map(run, QUICK):
            print(
                f"{name:<12} {'passed' if code == 0 else 'REFUSED'}  {seconds:5.1f} s", flush=True
            )
            if code != 0:
                refused.append(name)
                print(output, flush=True)
            elif name == "unit tests":
                print(output.strip().splitlines()[-1], flush=True)
    print(
        f"{'all' if not refused else ', '.join(refused)} "
        f"{'passed' if not refused else 'refused'} in {time.monotonic() - start:.0f} s"
    )
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
