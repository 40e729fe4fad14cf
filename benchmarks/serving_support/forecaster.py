"""A load forecaster as this product publishes it: gradient boosting, exported to a SavedModel.

Run as a script, `python forecaster.py FOLDER [--trees N]` fits and exports it, and writes 24 rows
of its features to FOLDER/rows.json; in a process of its own, so that others need no TensorFlow.
Without trees it is a line through the same features, whose graph takes next to no time.
"""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

ROWS = 24
"""The hours of a day-ahead forecast."""


def make_forecaster(folder: Path, *, trees: int = 100) -> tuple[Path, dict[str, list[float]]]:
    """The SavedModel's folder and the rows, one list of values per feature."""
    words = [sys.executable, __file__, str(folder), f"--trees={trees}"]
    subprocess.run(words, check=True, capture_output=True, text=True)
    return folder / "model", json.loads((folder / "rows.json").read_text())


def export_line(names: list[str], folder: Path) -> None:
    """Quantiles that are one sum of all features, minus one, as it is, plus one."""
    import tensorflow as tf

    def serve(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        middle = tf.reduce_sum(tf.stack([inputs[name] for name in names], axis=1), axis=1)
        return {"p10": middle - 1.0, "p50": middle, "p90": middle + 1.0}

    signature = tf.function(serve, autograph=False).get_concrete_function(
        **{name: tf.TensorSpec([None], tf.float32, name=name) for name in names}
    )
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": signature})


def main() -> None:
    import polars as pl

    from smartgrid_core.features.load import build_load_features
    from smartgrid_ml.export.artifact.parity import select_golden_batch
    from smartgrid_ml.export.artifact.saved_model import export_forecaster
    from smartgrid_ml.forecasting.boosting import BoostingForecaster, BoostingSettings

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trees", type=int, default=100)
    words = parser.parse_args()
    first = datetime(2024, 3, 1, tzinfo=UTC)
    hour = np.arange(24 * 60)
    history = pl.DataFrame(
        {
            "feeder_id": "F1",
            "hour_start": [first + timedelta(hours=int(h)) for h in hour],
            "load_kw": 100 + 40 * np.sin(hour / 24 * 2 * np.pi) + hour % 7,
        }
    )
    issues = [first + timedelta(days=day) for day in range(29, 59)]
    features = build_load_features(
        history, issue_times=issues, timezone="Europe/Tirane", country="AL"
    )
    if words.trees == 0:
        names = [name for name, kind in features.schema.items() if kind.is_float()][:8]
        rows = features.select(names).head(ROWS).fill_null(0.0)
        export_line(names, words.folder / "model")
        (words.folder / "rows.json").write_text(json.dumps(rows.to_dict(as_series=False)))
        return
    settings = BoostingSettings(trees=words.trees, rows_per_leaf=5, threads=1)
    fitted = BoostingForecaster(settings).fit(features)
    rows = select_golden_batch(features, inputs=tuple(fitted.feature_names), n=ROWS).fill_null(0.0)
    export_forecaster(fitted, words.folder / "model")
    columns = {name: rows[name].to_list() for name in fitted.feature_names}
    (words.folder / "rows.json").write_text(json.dumps(columns))


if __name__ == "__main__":
    main()
