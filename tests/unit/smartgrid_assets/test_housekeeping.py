"""Old records of Dagster go, new ones stay."""

import os
from pathlib import Path

from smartgrid_assets.housekeeping import keep_house
from smartgrid_core.settings import Settings


def test_output_of_runs_that_ended_long_ago_is_removed(tmp_path: Path):
    for run in ("old", "new"):
        (tmp_path / "storage" / run).mkdir(parents=True)
    os.utime(tmp_path / "storage" / "old", (0, 0))
    settings = Settings(_env_file=None, compute_logs=tmp_path, dagster_url=None)
    result = keep_house.execute_in_process(resources={"settings": settings})
    assert result.success
    assert [place.name for place in (tmp_path / "storage").iterdir()] == ["new"]
