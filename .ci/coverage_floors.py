"""Holds the measured coverage of every package against its floor, then gives the total.

`python .ci/coverage_floors.py` reads `.coverage` (`make coverage` writes it), reports on all
packages, also behind one that falls short, and ends with 1 if one does.
"""

import subprocess
import sys

FLOORS = {
    "smartgrid_core": 90,
    "smartgrid_ml": 90,
    "smartgrid_io": 80,
    "resources": 80,
    "sensors": 80,
    "smartgrid_assets": 80,
    "smartgrid_services": 80,
    "smartgrid_cli": 80,
    "demo": 80,
}
"""Percent. What computes needs no server to be tested; the edges have branches only a failing disk
or network takes."""


def report(*options: str) -> int:
    """Print what coverage reports with these options; return its exit code (2: below the floor)."""
    command = [sys.executable, "-m", "coverage", "report", *options]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """Print a report per package and the total; return 1 if a package is below its floor."""
    short = []
    for package, floor in FLOORS.items():
        print(f"\n== {package} (floor {floor} %)", flush=True)
        if report("--sort=cover", f"--include={package}/*", f"--fail-under={floor}"):
            short.append(package)
    print("\n== all packages, percent", flush=True)
    total = report("--format=total")
    print(f"below their floor: {', '.join(short)}" if short else "every package is at its floor")
    return 1 if short or total else 0


if __name__ == "__main__":
    sys.exit(main())
