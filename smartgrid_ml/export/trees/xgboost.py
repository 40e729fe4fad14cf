"""Models of XGBoost in TensorFlow operations, read from the JSON that it writes of a model."""

import json
from typing import Any

import numpy as np

from smartgrid_core.arrays import Bool
from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.artifact.rounding import as_float32
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.export.trees.ensemble import build_ensemble_graph, combine_trees
from smartgrid_ml.export.trees.tree import Categories, Tree, build_tree, lower_thresholds
from smartgrid_ml.tensorflow_runtime import tensorflow

PLAIN_SUMS = (
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:quantileerror",
    "reg:pseudohubererror",
)
"""Objectives whose prediction is the bare sum, with no link function behind it."""


def build_regressor_graph(model: Any) -> Graph:
    """Return the sum of the trees, up to the best iteration if training stopped early."""
    tf = tensorflow()
    booster = model.get_booster()
    if getattr(model, "early_stopping_rounds", None) and booster.attr("best_iteration"):
        booster = booster[: model.best_iteration + 1]
    predict = build_booster_graph(booster)
    if model.missing is None or np.isnan(model.missing):
        return predict
    missing = float(np.float32(model.missing))

    def with_missing(features: Any) -> Any:
        nothing = tf.constant(np.nan, tf.float64)
        return predict(tf.where(tf.equal(as_float32(features), missing), nothing, features))

    return with_missing


def build_booster_graph(booster: Any) -> Graph:
    """Return the sum of all trees, or gblinear's line, of features rounded to float32.

    Raises PublicationError for several outputs and for an objective with a link function.
    """
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    if objective not in PLAIN_SUMS:
        raise PublicationError(
            f"XGBoost: objective {objective!r} cannot be exported: its link function is not known"
            f" here; use one of {', '.join(PLAIN_SUMS)}"
        )
    written = str(learner["learner_model_param"]["base_score"]).strip("[]")
    base = np.array(written.split(","), np.float32)
    if base.size != 1 or int(learner["learner_model_param"]["num_target"]) > 1:
        raise PublicationError("XGBoost: several outputs cannot be exported: train one each")
    model = learner["gradient_booster"]
    if model["name"] == "gblinear":
        return _build_linear_graph(model["model"], base=float(base[0]))
    drop = model.get("weight_drop")
    forest = model.get("gbtree", model)["model"]
    if forest.get("cats", {}).get("enc"):
        raise PublicationError(
            "XGBoost: categories of a data frame cannot be exported: train on numeric codes, with"
            " feature_types"
        )
    trees = [
        _read_tree(written, weight=1.0 if drop is None else drop[place])
        for place, written in enumerate(forest["trees"])
    ]
    predict = build_ensemble_graph(combine_trees(trees, base=float(base[0])))
    n_features = int(learner["learner_model_param"]["num_feature"])
    by_category = _find_category_features(forest["trees"], n_features)
    tf = tensorflow()

    def answer(features: Any) -> Any:
        rounded = as_float32(features)
        # Less than zero is no category at all; the whole part of -0.5 would be the first one.
        return predict(
            tf.where(by_category & (rounded < 0), tf.constant(-1.0, tf.float64), rounded)
        )

    return answer


def _find_category_features(trees: list[dict[str, Any]], n_features: int) -> Bool:
    """Return which features some tree splits by category, (features,)."""
    by_category = np.zeros(n_features, bool)
    for written in trees:
        by_category[np.array(written["split_indices"])[written["categories_nodes"]]] = True
    return by_category


def _read_tree(written: dict[str, Any], *, weight: float) -> Tree:
    """Return the tree that XGBoost wrote, its leaves times `weight`.

    Raises PublicationError for several outputs.
    """
    if int(written["tree_param"]["size_leaf_vector"]) > 1:
        raise PublicationError("XGBoost: several outputs cannot be exported: train one each")
    number = np.array(written["split_conditions"], np.float32)
    members = np.array(written["categories"], np.int64)
    return build_tree(
        feature=written["split_indices"],
        threshold=lower_thresholds(number),
        left=written["left_children"],
        right=written["right_children"],
        value=number.astype(np.float64) * weight,
        missing_left=np.array(written["default_left"], bool),
        categories={
            node: Categories(frozenset(members[start : start + size].tolist()), members_left=False)
            for node, start, size in zip(
                written["categories_nodes"],
                written["categories_segments"],
                written["categories_sizes"],
                strict=True,
            )
        },
    )


def _build_linear_graph(model: dict[str, Any], *, base: float) -> Graph:
    """Return weights times features plus the bias; an unknown feature adds nothing."""
    tf = tensorflow()
    *weights, bias = np.array(model["weights"], np.float32).astype(np.float64)

    def predict(features: Any) -> Any:
        known = tf.where(tf.math.is_nan(features), tf.zeros_like(features), as_float32(features))
        return tf.linalg.matvec(known, np.array(weights)) + (bias + base)

    return predict
