"""Exported boosting on 1,000 rows against LightGBM's own predict of the same trees.

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


def features(days: int) -> pl.DataFrame:
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


def fastest(ask: Callable[[], Any]) -> float:
    times = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        ask()
        times.append(time.perf_counter() - begun)
    return min(times)


def main(settings: BoostingSettings, *, days: int) -> int:
    tf = tensorflow()
    table = features(days)
    forecaster = BoostingForecaster(settings).fit(table)
    rows = as_served(table.head(ROWS), inputs=tuple(forecaster.feature_names))
    with tempfile.TemporaryDirectory() as folder:
        loaded = tf.saved_model.load(str(export_forecaster(forecaster, Path(folder) / "model")))
        megabytes = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file())
    signature = loaded.signatures["serving_default"]
    asked = {name: tf.constant(rows[name].to_numpy()) for name in rows.columns}
    inputs = rows.to_numpy().astype(np.float64)
    boosters = [one for every in forecaster.boosters.values() for one in every]
    signature(**asked)
    exported_s = fastest(lambda: signature(**asked))
    reference_s = fastest(lambda: [booster.predict(inputs) for booster in boosters])
    trees = sum(booster.num_trees() for booster in boosters)
    print(
        f"{trees} trees, {len(rows)} rows: exported {exported_s * 1e3:.0f} ms, LightGBM"
        f" {reference_s * 1e3:.0f} ms, ratio {exported_s / reference_s:.2f};"
        f" {megabytes / 1e6:.1f} MB"
    )
    return int(exported_s * 1e3 > MOST_MS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=BoostingSettings().trees)
    parser.add_argument("--days", type=int, default=730)
    given = parser.parse_args()
    sys.exit(main(BoostingSettings(trees=given.trees), days=given.days))
