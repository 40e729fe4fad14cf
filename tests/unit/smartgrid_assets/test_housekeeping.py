"""Old records of Dagster go, new ones stay."""

import os
from datetime import date
from pathlib import Path

import polars as pl

from smartgrid_assets.housekeeping import keep_house
from smartgrid_core.contracts.anomalies import AnomalyStates
from smartgrid_core.settings import Settings

KEY = AnomalyStates.primary_key()


def state(day: date) -> dict[str, object]:
    figures = {name: [] for name in AnomalyStates.column_names() if name not in KEY}
    return {"subject_kind": "sensor", "series": "S-1/power", "day": day, **figures}


def test_what_days_remembered_is_forgotten_after_two_months(store):
    days = [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 31)]
    rows = pl.DataFrame([state(day) for day in days])
    store.replace(AnomalyStates, AnomalyStates.cast(rows))
    settings = Settings(_env_file=None, compute_logs=None, dagster_url=None)

    result = keep_house.execute_in_process(resources={"settings": settings, "lake": store})

    assert result.success
    assert store.days(AnomalyStates) == days[1:]


def test_output_of_runs_that_ended_long_ago_is_removed(tmp_path: Path, store):
    for run in ("old", "new"):
        (tmp_path / "storage" / run).mkdir(parents=True)
    os.utime(tmp_path / "storage" / "old", (0, 0))
    settings = Settings(_env_file=None, compute_logs=tmp_path, dagster_url=None)
    result = keep_house.execute_in_process(resources={"settings": settings, "lake": store})
    assert result.success
    assert [place.name for place in (tmp_path / "storage").iterdir()] == ["new"]
