"""Times exported boosting on 1,000 rows against LightGBM's own predict of the same trees.

Run `python benchmarks/export_speed.py`. Both answer the rows in this process, in turns; the fastest
turn of each counts. The forecaster has the default settings (2,400 trees of 63 leaves for three
quantiles), the loads are synthetic. Prints the ratio of times and the milliseconds.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from smartgrid_core.features.load import build_load_features
from smartgrid_ml.export.artifact.parity import as_served
from smartgrid_ml.export.artifact.saved_model import export_forecaster
from smartgrid_ml.forecasting.boosting import BoostingForecaster, BoostingSettings
from smartgrid_ml.tensorflow_runtime import tensorflow

ROWS = 1000
TURNS = 15
MOST_MS = 100.0
"""Exported prediction that takes longer fails the benchmark."""


def make_features(days: int) -> pl.DataFrame:
    """Return load features of one feeder and so many days of synthetic load."""
    first = datetime(2022, 1, 1, tzinfo=UTC)
    hour = np.arange(24 * days)
    random = np.random.default_rng(5)
    daily = 100 + 40 * np.sin(hour / 24 * 2 * np.pi) + 15 * (hour // 24 % 7 < 5)
    history = pl.DataFrame(
        {
            "feeder_id": "F1",
            "hour_start": [first + timedelta(hours=int(h)) for h in hour],
            "load_kw": daily + random.normal(size=len(hour)) * 5,
        }
    )
    issues = [first + timedelta(days=day) for day in range(30, days - 1)]
    return build_load_features(history, issue_times=issues, timezone="Europe/Tirane", country="AL")


def time_fastest(predict: Callable[[], Any]) -> float:
    """Return the seconds of the fastest of TURNS calls."""
    times = []
    for _ in range(TURNS):
        began = time.perf_counter()
        predict()
        times.append(time.perf_counter() - began)
    return min(times)


def main(settings: BoostingSettings, *, days: int) -> int:
    """Print ratio and times; return the exit code, 1 if the export takes over MOST_MS."""
    tf = tensorflow()
    table = make_features(days)
    forecaster = BoostingForecaster(settings).fit(table)
    rows = as_served(table.head(ROWS), inputs=tuple(forecaster.feature_names))
    with tempfile.TemporaryDirectory() as folder:
        loaded = tf.saved_model.load(str(export_forecaster(forecaster, Path(folder) / "model")))
        n_bytes = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    signature = loaded.signatures["serving_default"]
    tensors = {name: tf.constant(rows[name].to_numpy()) for name in rows.columns}
    inputs = rows.to_numpy().astype(np.float64)
    boosters = [booster for boosters in forecaster.boosters.values() for booster in boosters]
    signature(**tensors)
    exported_s = time_fastest(lambda: signature(**tensors))
    reference_s = time_fastest(lambda: [booster.predict(inputs) for booster in boosters])
    trees = sum(booster.num_trees() for booster in boosters)
    print(
        f"{trees} trees, {len(rows)} rows: exported {exported_s * 1e3:.0f} ms, LightGBM"
        f" {reference_s * 1e3:.0f} ms, ratio {exported_s / reference_s:.2f};"
        f" {n_bytes / 1e6:.1f} MB"
    )
    return int(exported_s * 1e3 > MOST_MS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=BoostingSettings().trees)
    parser.add_argument("--days", type=int, default=730)
    arguments = parser.parse_args()
    sys.exit(main(BoostingSettings(trees=arguments.trees), days=arguments.days))
