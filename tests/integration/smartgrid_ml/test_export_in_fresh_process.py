import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

from smartgrid_core.features.load import build_load_features
from smartgrid_ml.automl.forecaster import AutomlForecaster, AutomlSettings
from smartgrid_ml.automl.trials import Budget
from smartgrid_ml.export.artifact.parity import select_golden_batch
from smartgrid_ml.export.artifact.saved_model import export_forecaster
from smartgrid_ml.forecasting.boosting import BoostingForecaster, BoostingSettings
from smartgrid_ml.forecasting.keras_network import KerasForecaster, KerasSettings
from smartgrid_ml.forecasting.point import PointForecaster, PointModel, Rows
from smartgrid_ml.forecasting.protocol import ServableForecaster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

ASK = """
import json, sys

NOT_THERE = (
    "autokeras", "h2o", "lightgbm", "polars", "sklearn", "smartgrid_core", "smartgrid_ml", "tpot",
    "xgboost",
)

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in NOT_THERE:
            raise ImportError(f"{name} is not to be had on a model server")

sys.meta_path.insert(0, Refuse())
import tensorflow as tf

for name in [name for name in sys.modules if name.split(".")[0] == "keras"]:
    sys.modules[name] = None  # TensorFlow imports it; a model must not need it

asked = json.load(open(sys.argv[1]))
answers = {}
for name, columns in asked.items():
    model = tf.saved_model.load(name)
    answered = model.signatures["serving_default"](
        **{column: tf.constant(values, tf.float32) for column, values in columns.items()}
    )
    answers[name] = {output: values.numpy().tolist() for output, values in answered.items()}
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Regressor:
    """Learns by any regressor of the libraries."""

    settings: Any

    def learn(self, rows: Rows) -> PointModel:
        return self.settings.fit(rows.inputs, rows.target)


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


FOUND_BY_H2O = {"algorithm": "gbm", "parameters": {"ntrees": 20, "min_rows": 5}}


UNFITTED = {
    one.name: one
    for one in (
        BoostingForecaster(BoostingSettings(trees=20, rows_per_leaf=5, threads=1)),
        KerasForecaster(KerasSettings(epochs=2)),
        AutomlForecaster(AutomlSettings("autokeras", Budget(60.0), recipe=FOUND_BY_AUTOKERAS)),
        PointForecaster("lightgbm", Regressor(LGBMRegressor(n_estimators=20, verbosity=-1))),
        PointForecaster("xgboost", Regressor(XGBRegressor(n_estimators=20, max_depth=4))),
        AutomlForecaster(AutomlSettings("h2o", Budget(60.0), recipe=FOUND_BY_H2O)),
        PointForecaster(
            "scikit-learn",
            Regressor(
                make_pipeline(
                    SimpleImputer(keep_empty_features=True),
                    StandardScaler(),
                    StackingRegressor(
                        [
                            ("line", Ridge()),
                            ("forest", RandomForestRegressor(10)),
                            ("boosted", HistGradientBoostingRegressor(max_iter=10)),
                        ],
                        cv=2,
                        passthrough=True,
                    ),
                )
            ),
        ),
    )
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
    return build_load_features(history, issue_times=issues, timezone="Europe/Tirane", country="AL")


@pytest.fixture(scope="module")
def fitted() -> dict[str, ServableForecaster]:
    rows = features()
    return {name: unfitted.fit(rows) for name, unfitted in UNFITTED.items()}


@pytest.fixture(scope="module")
def golden(fitted: dict[str, ServableForecaster]) -> pl.DataFrame:
    return select_golden_batch(features(), inputs=tuple(fitted["boosting"].feature_names), n=16)


@pytest.fixture(scope="module")
def served(
    fitted: dict[str, ServableForecaster],
    golden: pl.DataFrame,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, list[float]]]:
    """What one process of nothing but TensorFlow answers of every export."""
    folder = tmp_path_factory.mktemp("served")
    for name, forecaster in fitted.items():
        export_forecaster(forecaster, folder / name)
    asked = {
        name: golden.select(forecaster.feature_names).to_dict(as_series=False)
        for name, forecaster in fitted.items()
    }
    (folder / "golden.json").write_text(json.dumps(asked))
    (folder / "ask.py").write_text(ASK)
    answered = subprocess.run(
        [sys.executable, "-I", "ask.py", "golden.json"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert answered.returncode == 0, answered.stderr[-3000:]
    return json.loads(answered.stdout)


@pytest.mark.parametrize("name", UNFITTED)
def test_the_export_answers_where_neither_our_code_nor_the_library_is(
    name: str,
    fitted: dict[str, ServableForecaster],
    golden: pl.DataFrame,
    served: dict[str, dict[str, list[float]]],
):
    offline = fitted[name].predict(golden.select(fitted[name].feature_names))

    assert offline["p50"].n_unique() > 10
    for quantile in ("p10", "p50", "p90"):
        np.testing.assert_allclose(served[name][quantile], offline[quantile], rtol=1e-6)
