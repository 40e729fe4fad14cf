import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from smartgrid_core.features.load import load_features
from smartgrid_ml.automl.forecaster import AutomlForecaster, AutomlSettings
from smartgrid_ml.automl.trials import Budget
from smartgrid_ml.export.parity import golden_batch
from smartgrid_ml.export.saved_model import export
from smartgrid_ml.forecasting.boosting import BoostingForecaster, BoostingSettings
from smartgrid_ml.forecasting.keras_network import KerasForecaster, KerasSettings
from smartgrid_ml.forecasting.protocol import ServableForecaster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

ASK = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in (
            "autokeras", "lightgbm", "polars", "smartgrid_core", "smartgrid_ml"
        ):
            raise ImportError(f"{name} is not to be had on a model server")

sys.meta_path.insert(0, Refuse())
import tensorflow as tf

for name in [name for name in sys.modules if name.split(".")[0] == "keras"]:
    sys.modules[name] = None  # TensorFlow imports it; a model must not need it

columns = json.load(open(sys.argv[2]))
model = tf.saved_model.load(sys.argv[1])
answers = model.signatures["serving_default"](
    **{name: tf.constant(values, tf.float32) for name, values in columns.items()}
)
print(json.dumps({name: values.numpy().tolist() for name, values in answers.items()}))
"""


FOUND_BY_AUTOKERAS = {
    "hyperparameters": {
        "dense/use_batchnorm": True,
        "dense/num_layers": 1,
        "dense/units_0": 16,
        "dense/dropout": 0.25,
        "load/dropout": 0.0,
        "optimizer": "adam",
        "learning_rate": 0.01,
    }
}


def features() -> pl.DataFrame:
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
    return load_features(history, issue_times=issues, timezone="Europe/Tirane", country="AL")


@pytest.mark.parametrize(
    "unfitted",
    [
        BoostingForecaster(BoostingSettings(trees=20, rows_per_leaf=5, threads=1)),
        KerasForecaster(KerasSettings(epochs=2)),
        AutomlForecaster(AutomlSettings("autokeras", Budget(60.0), recipe=FOUND_BY_AUTOKERAS)),
    ],
    ids=lambda unfitted: unfitted.name,
)
def test_the_export_answers_where_neither_our_code_nor_the_library_is(
    unfitted: ServableForecaster, tmp_path: Path
):
    rows = features()
    fitted = unfitted.fit(rows)
    golden = golden_batch(rows, inputs=tuple(fitted.feature_names), n=16)
    model = export(fitted, tmp_path / "model")
    (tmp_path / "golden.json").write_text(json.dumps(golden.to_dict(as_series=False)))
    (tmp_path / "ask.py").write_text(ASK)

    asked = subprocess.run(
        [sys.executable, "-I", "ask.py", model, tmp_path / "golden.json"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert asked.returncode == 0, asked.stderr[-3000:]
    served = json.loads(asked.stdout)
    offline = fitted.predict(golden)
    for name in ("p10", "p50", "p90"):
        np.testing.assert_allclose(served[name], offline[name], rtol=1e-6)
