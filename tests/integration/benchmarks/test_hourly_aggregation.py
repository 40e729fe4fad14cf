import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "hourly_aggregation.py"


@pytest.mark.slow
def test_hourly_aggregation_keeps_up_with_bare_polars_within_its_memory():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--rows", "4000000"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout[: done.stdout.rindex("}") + 1])
    assert figures["hours"] == 66_960
