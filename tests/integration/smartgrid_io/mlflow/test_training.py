from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from smartgrid_core.features.load import build_load_features
from smartgrid_io.mlflow.registry import MlflowRegistry
from smartgrid_ml.export.artifact.golden import read_golden
from smartgrid_ml.export.artifact.parity import ask_saved_model
from smartgrid_ml.export.artifact.warmup import WARMUP
from smartgrid_ml.tensorflow_runtime import tensorflow
from smartgrid_ml.training import EXPERIMENT, TrainingNotes, train_and_register

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]


@pytest.fixture(scope="module")
def features() -> pl.DataFrame:
    """50 days of one feeder of 100 kW with a daily rhythm."""
    first = datetime(2024, 3, 1, tzinfo=UTC)
    hour = np.arange(24 * 80)
    history = pl.DataFrame(
        {
            "feeder_id": "F1",
            "hour_start": [first + timedelta(hours=int(h)) for h in hour],
            "load_kw": 100 + 40 * np.sin(hour / 24 * 2 * np.pi) + hour % 7,
        }
    )
    issues = [first + timedelta(days=day) for day in range(29, 79)]
    return build_load_features(history, issue_times=issues, timezone="Europe/Tirane", country="AL")


def test_the_same_features_are_trained_once_and_their_model_answers_as_it_did_offline(
    mlflow_url: str, features: pl.DataFrame, tmp_path: Path
):
    registry = MlflowRegistry(mlflow_url)

    def register(rows: pl.DataFrame):
        return train_and_register(
            rows,
            name="keras",
            registry=registry,
            model="load_forecaster",
            notes=TrainingNotes(metrics={"mae": 1.0}),
        )

    first, again, other = register(features), register(features), register(features.head(960))

    assert again == first, "the same features give the version that they gave before"
    assert (first.version, other.version) == ("1", "2")
    assert {run.info.status for run in registry._search_runs(EXPERIMENT, "")} == {"FINISHED"}
    saved_model = registry.download(first, tmp_path)
    rows, offline = read_golden(saved_model)
    np.testing.assert_allclose(
        ask_saved_model(saved_model, rows).to_numpy(), offline.to_numpy(), rtol=1e-6
    )
    assert warmup_rows(saved_model) == [("load_forecaster", 1), ("load_forecaster", 24)]


def warmup_rows(saved_model: Path) -> list[tuple[str, int]]:
    """Whom each recorded warm-up request asks, with how many rows of every input."""
    tf = tensorflow()
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    asked = []
    for record in tf.data.TFRecordDataset(str(saved_model / WARMUP)):
        request = PredictionLog.FromString(record.numpy()).predict_log.request
        (rows,) = {len(tf.make_ndarray(tensor)) for tensor in request.inputs.values()}
        asked.append((request.model_spec.name, rows))
    return asked
