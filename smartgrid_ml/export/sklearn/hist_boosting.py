"""Histogram boosting of scikit-learn in TensorFlow operations."""

from typing import Any

import numpy as np

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.export.sklearn.encoders import build_ordinal_graph
from smartgrid_ml.export.trees.ensemble import build_ensemble_graph, combine_trees
from smartgrid_ml.export.trees.tree import Categories, Tree, build_tree, unpack_bitset
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_hist_boosting_graph(model: Any) -> Graph:
    """Return baseline plus trees through the inverse of the loss's link.

    Raises PublicationError for several outputs and for a link that is not known here.
    """
    tf = tensorflow()
    links = {"IdentityLink": lambda raw: raw, "LogLink": tf.math.exp}
    link = type(model._loss.link).__name__
    if link not in links:
        raise PublicationError(
            f"export: a HistGradientBoostingRegressor with loss {model.loss!r}; use"
            " squared_error, absolute_error, quantile, poisson or gamma"
        )
    stages = model._predictors
    if any(len(stage) != 1 for stage in stages):
        raise PublicationError(
            "export: a HistGradientBoostingRegressor of several outputs; train one each"
        )
    base = float(np.asarray(model._baseline_prediction).reshape(-1)[0])
    raw = build_ensemble_graph(
        combine_trees([_read_tree(predictor) for (predictor,) in stages], base=base)
    )
    order = _build_feature_order(model)
    return lambda features: links[link](raw(order(features)))


def _build_feature_order(model: Any) -> Graph:
    """Return the features as the trees count them: places of categories first, then numbers."""
    tf = tensorflow()
    is_category = model.is_categorical_
    if is_category is None or not np.any(is_category):
        return lambda features: features
    encode = build_ordinal_graph(model._preprocessor.named_transformers_["encoder"])
    categories, numbers = (
        np.flatnonzero(mask).astype(np.int32) for mask in (is_category, ~is_category)
    )

    def ordered(features: Any) -> Any:
        encoded = encode(tf.gather(features, categories, axis=1))
        return tf.concat([encoded, tf.gather(features, numbers, axis=1)], axis=1)

    return ordered


def _read_tree(predictor: Any) -> Tree:
    """Return the tree of one predictor of scikit-learn's."""
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    by_category = np.flatnonzero(nodes["is_categorical"].astype(bool) & ~is_leaf)
    return build_tree(
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        left=np.where(is_leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(is_leaf, -1, nodes["right"].astype(np.int64)),
        value=nodes["value"],
        missing_left=nodes["missing_go_to_left"].astype(bool),
        categories={
            int(node): Categories(
                unpack_bitset(
                    predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]].astype(np.int64)
                )
            )
            for node in by_category
        },
    )
