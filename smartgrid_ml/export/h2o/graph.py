"""Models of H2O in TensorFlow operations, and which of its algorithms a search may use."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph, load_exporter
from smartgrid_ml.export.h2o.mojo import Mojo, read_mojo
from smartgrid_ml.tensorflow_runtime import tensorflow

ALGORITHMS: Mapping[str, str] = {
    "GBM": "smartgrid_ml.export.h2o.trees:build_gbm_graph",
    "DRF": "smartgrid_ml.export.h2o.trees:build_drf_graph",
    "XGBoost": "smartgrid_ml.export.h2o.trees:build_xgboost_graph",
    "GLM": "smartgrid_ml.export.h2o.layers:build_glm_graph",
    "DeepLearning": "smartgrid_ml.export.h2o.layers:build_deep_learning_graph",
    "StackedEnsemble": "smartgrid_ml.export.h2o.graph:build_stacked_graph",
}
"""As AutoML's `include_algos` names them; the search takes its list from here."""


def build_h2o_graph(model: Any) -> Graph:
    """Return an `H2OModel`'s prediction. Raises PublicationError naming what has no export."""
    return build_mojo_graph(read_mojo(model.mojo), model.names)


def build_mojo_graph(mojo: Mojo, names: Sequence[str]) -> Graph:
    """Return the model's answer to features in the order of `names`.

    Raises PublicationError for an algorithm without export, or a column that is not in `names`.
    """
    tf = tensorflow()
    known = {name.lower(): path for name, path in ALGORITHMS.items()}
    if mojo.algorithm not in known:
        raise PublicationError(
            f"H2O: no SavedModel of a {mojo.algorithm}; use one of {', '.join(ALGORITHMS)}"
        )
    if missing := set(mojo.inputs) - set(names):
        raise PublicationError(f"H2O: the model also needs {', '.join(sorted(missing))}")
    predict = load_exporter(known[mojo.algorithm])(mojo)
    places = np.array([list(names).index(name) for name in mojo.inputs], np.int32)
    return lambda features: predict(tf.gather(features, places, axis=1))


def build_stacked_graph(mojo: Mojo) -> Graph:
    """Return the metalearner's answer to the answers of the base models that it uses."""
    tf = tensorflow()
    if mojo.info.get("metalearner_transform", "NONE") != "NONE":
        raise PublicationError("H2O: a stacked ensemble with a transform cannot be exported")
    folders = {
        mojo.info[f"submodel_key_{place}"]: mojo.info[f"submodel_dir_{place}"]
        for place in range(int(mojo.info["submodel_count"]))
    }
    metalearner = mojo.open_submodel(folders[mojo.info["metalearner"]])
    n_base = int(mojo.info["base_models_num"])
    used = [mojo.info.get(f"base_model{place}") for place in range(n_base)]
    bases = {
        key: build_mojo_graph(mojo.open_submodel(folders[key]), mojo.inputs)
        for key in used
        if key is not None
    }
    combine = load_exporter(ALGORITHMS[_find_algorithm(metalearner)])(metalearner)

    def predict(features: Any) -> Any:
        nothing = tf.zeros_like(features[:, 0])  # its weight is zero
        answers = [bases[key](features) if key else nothing for key in used]
        return combine(tf.stack(answers, axis=1))

    return predict


def _find_algorithm(mojo: Mojo) -> str:
    """Return the model's key in ALGORITHMS. Raises PublicationError if it has none."""
    for name in ALGORITHMS:
        if name.lower() == mojo.algorithm:
            return name
    raise PublicationError(f"H2O: a metalearner {mojo.algorithm} cannot be exported")
