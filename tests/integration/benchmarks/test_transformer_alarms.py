import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "transformer_alarms.py"


@pytest.mark.slow
def test_every_trip_is_found_without_its_flag_by_warnings_that_are_mostly_right(shared_data):
    if not (shared_data / "transformer_monitoring").is_dir():
        pytest.skip("no measurements of a transformer")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SMARTGRID_SHARED_DATA": str(shared_data)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    trips, plain = figures["OTI_T"]["detectors"], figures["OTI_T"]["z-score, as many warnings"]
    assert (trips["found"], trips["episodes"]) == (10, 10)
    assert trips["precision"] >= 0.7
    assert trips["foreseen"] >= 5
    assert trips["precision"] > plain["precision"]
    assert trips["recall"] > plain["recall"]
    assert figures["OTI_A"]["detectors"]["found"] == 10
    assert figures["MOG_A"]["detectors"]["found"] >= 3
