"""Trees and forests of scikit-learn in TensorFlow operations."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.artifact.rounding import as_float32
from smartgrid_ml.export.exportable import Graph, get_class_path
from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.export.trees.ensemble import build_ensemble_graph, combine_trees
from smartgrid_ml.export.trees.tree import Tree, build_tree


def build_tree_graph(model: Any) -> Graph:
    """One tree."""
    return _build_sum_graph([model])


def build_forest_graph(model: Any) -> Graph:
    """The mean of the trees."""
    return _build_sum_graph(model.estimators_, scale=1.0 / len(model.estimators_))


def build_gradient_boosting_graph(model: Any) -> Graph:
    """The first guess and the trees, each by the learning rate."""
    trees = _build_sum_graph(model.estimators_[:, 0], scale=float(model.learning_rate))
    if isinstance(model.init_, str):  # "zero"
        return trees
    first = build_regressor_graph(model.init_)
    return lambda features: first(as_float32(features)) + trees(features)


def _build_sum_graph(models: Iterable[Any], *, scale: float = 1.0) -> Graph:
    """Trees see features rounded to float32, whatever came before computed in."""
    predict = build_ensemble_graph(
        combine_trees([_read_tree(model) for model in models], scale=scale)
    )
    return lambda features: predict(as_float32(features))


def _read_tree(model: Any) -> Tree:
    grown = model.tree_
    if grown.n_outputs != 1:
        raise PublicationError(
            f"export: a {get_class_path(model)} of several outputs; train one each"
        )
    return build_tree(
        feature=grown.feature,
        threshold=grown.threshold,
        left=grown.children_left,
        right=grown.children_right,
        value=np.asarray(grown.value)[:, 0, 0],
        missing_left=np.asarray(grown.missing_go_to_left, bool),
    )
