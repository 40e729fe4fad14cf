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
    """Return the answer of one tree."""
    return _build_sum_graph([model])


def build_forest_graph(model: Any) -> Graph:
    """Return the mean of the trees."""
    return _build_sum_graph(model.estimators_, scale=1.0 / len(model.estimators_))


def build_gradient_boosting_graph(model: Any) -> Graph:
    """Return the first guess plus the trees, each times the learning rate."""
    trees = _build_sum_graph(model.estimators_[:, 0], scale=float(model.learning_rate))
    if isinstance(model.init_, str):  # "zero"
        return trees
    first = build_regressor_graph(model.init_)
    return lambda features: first(as_float32(features)) + trees(features)


def _build_sum_graph(models: Iterable[Any], *, scale: float = 1.0) -> Graph:
    """Return `scale` times the sum of the trees, which compare features rounded to float32."""
    predict = build_ensemble_graph(
        combine_trees([_read_tree(model) for model in models], scale=scale)
    )
    return lambda features: predict(as_float32(features))


def _read_tree(model: Any) -> Tree:
    """Return the tree of a tree regressor. Raises PublicationError for several outputs."""
    nodes = model.tree_
    if nodes.n_outputs != 1:
        raise PublicationError(
            f"export: a {get_class_path(model)} of several outputs; train one each"
        )
    return build_tree(
        feature=nodes.feature,
        threshold=nodes.threshold,
        left=nodes.children_left,
        right=nodes.children_right,
        value=np.asarray(nodes.value)[:, 0, 0],
        missing_left=np.asarray(nodes.missing_go_to_left, bool),
    )
