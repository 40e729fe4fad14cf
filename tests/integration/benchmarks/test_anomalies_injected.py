import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "anomalies_injected.py"


@pytest.mark.slow
def test_known_faults_in_a_house_are_found_better_than_by_a_z_score(shared_data):
    if not (shared_data / "uci_household_power").is_dir():
        pytest.skip("no measurements of a house")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "house"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SMARTGRID_SHARED_DATA": str(shared_data)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flatline: 6 of 6 found" in done.stdout
    assert "missing: 5 of 5 found" in done.stdout
