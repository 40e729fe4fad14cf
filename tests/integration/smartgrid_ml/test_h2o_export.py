import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartgrid_core.errors import PublicationError
from smartgrid_ml.automl.h2o_cluster import open_h2o_cluster
from smartgrid_ml.automl.h2o_model import H2OModel
from smartgrid_ml.export.h2o.graph import ALGORITHMS
from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.tensorflow_runtime import tensorflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

NAMES = ["a", "b", "c", "d", "code"]
STACKS = {"nfolds": 2, "keep_cross_validation_predictions": True, "fold_assignment": "modulo"}

KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "gbm": (
        "gbm",
        {"ntrees": 20, "max_depth": 6, "min_rows": 3, "distribution": "laplace", **STACKS},
    ),
    "gbm of a logarithm": ("gbm", {"ntrees": 5, "max_depth": 3, "distribution": "gamma"}),
    "gbm of one leaf": ("gbm", {"ntrees": 2, "min_split_improvement": 1e9}),
    "forest": ("drf", {"ntrees": 10, "max_depth": 9, **STACKS}),
    "xgboost": ("xgboost", {"ntrees": 10, "max_depth": 6, **STACKS}),
    "xgboost where zero is missing": (
        "xgboost",
        {"ntrees": 10, "max_depth": 6, "dmatrix_type": "sparse"},
    ),
    "xgboost with drop-out": (
        "xgboost",
        {"ntrees": 10, "max_depth": 4, "booster": "dart", "rate_drop": 0.3},
    ),
    "glm": ("glm", {"family": "gaussian", "alpha": 0.5, "lambda_": 0.001, **STACKS}),
    "glm of a logarithm": ("glm", {"family": "gaussian", "link": "log", "standardize": False}),
    "network": ("deeplearning", {"hidden": [8, 6], "epochs": 3, "reproducible": True, **STACKS}),
    "network with dropout": (
        "deeplearning",
        {
            "hidden": [8, 6],
            "epochs": 3,
            "reproducible": True,
            "activation": "tanh_with_dropout",
            "hidden_dropout_ratios": [0.2, 0.4],
            "input_dropout_ratio": 0.1,
            "distribution": "laplace",
        },
    ),
    "unscaled network of a logarithm": (
        "deeplearning",
        {"hidden": [6], "epochs": 2, "standardize": False, "distribution": "poisson"},
    ),
}
STACKED = ("gbm", "forest", "xgboost", "glm", "network")


@pytest.fixture(scope="module")
def trained() -> dict[str, H2OModel]:
    """Everything from one node, which has ended when the first test asks."""
    from h2o.estimators import (
        H2ODeepLearningEstimator,
        H2OGeneralizedLinearEstimator,
        H2OGradientBoostingEstimator,
        H2ORandomForestEstimator,
        H2OStackedEnsembleEstimator,
        H2OXGBoostEstimator,
    )

    estimators = {
        "gbm": H2OGradientBoostingEstimator,
        "drf": H2ORandomForestEstimator,
        "xgboost": H2OXGBoostEstimator,
        "glm": H2OGeneralizedLinearEstimator,
        "deeplearning": H2ODeepLearningEstimator,
    }
    inputs = rows(400, seed=1)
    known = np.nan_to_num(inputs)
    target = 4 + np.sin(known[:, 0] * 2) + known[:, 1] ** 2 / 4 + (inputs[:, 4] == 2)
    models: dict[str, Any] = {}
    maxout = ("deeplearning", {"hidden": [4], "epochs": 1, "activation": "maxout"})
    with open_h2o_cluster(memory_mb=2_500) as h2o:
        frame = h2o.H2OFrame(
            np.column_stack([inputs, target]).tolist(), column_names=[*NAMES, "target"]
        )
        by_category = frame["code"].asfactor().cbind(frame["target"])
        for kind, (algorithm, parameters) in {**KINDS, "maxout": maxout}.items():
            models[kind] = estimators[algorithm](seed=1, **parameters)
            models[kind].train(x=NAMES, y="target", training_frame=frame)
        models["of categories"] = H2OGradientBoostingEstimator(ntrees=1, min_rows=3)
        models["of categories"].train(x=["code"], y="target", training_frame=by_category)
        for kind, metalearner in (("stack", "glm"), ("stack with boosting on top", "gbm")):
            models[kind] = H2OStackedEnsembleEstimator(
                base_models=[models[base] for base in STACKED],
                metalearner_algorithm=metalearner,
                metalearner_params={"ntrees": [5]} if metalearner == "gbm" else None,
                seed=1,
            )
            models[kind].train(x=NAMES, y="target", training_frame=frame)
        with tempfile.TemporaryDirectory() as folder:
            return {
                kind: H2OModel(Path(model.download_mojo(folder)).read_bytes(), NAMES)
                for kind, model in models.items()
            }


def rows(n: int, *, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    inputs = np.column_stack([rng.normal(size=(n, 4)), rng.integers(0, 5, n)])
    inputs[rng.random(inputs.shape) < 0.05] = np.nan
    inputs[rng.random(n) < 0.1, 2] = 0.0
    return inputs


def hard_rows() -> np.ndarray:
    """10,000 with missing values, extremes and codes that training never saw."""
    rng = np.random.default_rng(2)
    asked = rows(10_000, seed=3)
    asked[:4_000] = np.round(asked[:4_000], 1)
    odd = rng.random((10_000, 4)) < 0.01
    asked[:, :4][odd] = rng.choice([1e6, -1e6, 1e-30, -1e-40, 50.0], odd.sum())
    asked[:1_000, 4] = rng.choice([-1.0, 7.0, 99.0, 2.5], 1_000)
    asked[0] = np.nan
    return asked


@pytest.mark.parametrize("kind", [*KINDS, "stack", "stack with boosting on top"])
def test_the_graph_says_what_the_library_says_on_10000_hard_rows(
    kind: str, trained: dict[str, H2OModel]
):
    tf = tensorflow()
    asked = hard_rows()
    graph = tf.function(
        build_regressor_graph(trained[kind]),
        input_signature=[tf.TensorSpec([None, len(NAMES)], tf.float64)],
    )

    offline, exported = trained[kind].predict(asked), graph(asked).numpy()

    assert len(np.unique(offline)) > (5 if "leaf" not in kind else 0)
    np.testing.assert_allclose(exported, offline, rtol=1e-4, atol=1e-7)


def test_every_algorithm_that_a_search_may_use_is_tried_here(trained: dict[str, H2OModel]):
    from smartgrid_ml.export.h2o.mojo import read_mojo

    tried = {read_mojo(trained[kind].mojo).algorithm for kind in (*KINDS, "stack")}

    assert tried == {name.lower() for name in ALGORITHMS}


@pytest.mark.parametrize(
    ("kind", "named"), [("maxout", "Maxout"), ("of categories", "columns of categories")]
)
def test_what_cannot_be_exported_is_refused_by_name(
    kind: str, named: str, trained: dict[str, H2OModel]
):
    with pytest.raises(PublicationError, match=named):
        build_regressor_graph(trained[kind])
