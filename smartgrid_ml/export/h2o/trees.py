"""Tree models of H2O in TensorFlow operations: GBM, DRF and XGBoost.

Formats: SharedTreeMojoModel.scoreTree of h2o-genmodel 3.46 for the trees of GBM and DRF; XGBoost's
binary model of before version 1.7 (LearnerModelParam, GBTreeModelParam, RegTree) for XGBoost.
"""

import struct
from typing import Any

import numpy as np

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.artifact.rounding import as_float32
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.export.h2o.links import build_inverse_link
from smartgrid_ml.export.h2o.mojo import Mojo
from smartgrid_ml.export.trees.ensemble import build_ensemble_graph, combine_trees
from smartgrid_ml.export.trees.tree import Tree, build_tree, lower_thresholds
from smartgrid_ml.export.trees.xgboost import PLAIN_SUMS
from smartgrid_ml.tensorflow_runtime import tensorflow

NO_COLUMN = 0xFFFF
"""The column of a tree that is nothing but a leaf."""

NA_ALONE, NA_LEFT, LEFT = 1, 2, 4
"""What a node says of missing values: against all others; left, learned; left, by default."""

LEARNER_BYTES, FOREST_BYTES, TREE_BYTES = 136, 160, 148
"""Sizes of XGBoost's parameter blocks."""

NODE = np.dtype(
    [("parent", "<i4"), ("left", "<i4"), ("right", "<i4"), ("split", "<u4"), ("value", "<f4")]
)
STATISTICS_BYTES = 16
DEFAULT_LEFT = 1 << 31


def build_gbm_graph(mojo: Mojo) -> Graph:
    """init_f and the sum of all trees, through the inverse of the link."""
    link = build_inverse_link(mojo.info["link_function"])
    predict = build_ensemble_graph(
        combine_trees(_read_shared_trees(mojo), base=mojo.value("init_f"))
    )
    return lambda features: link(predict(features))


def build_drf_graph(mojo: Mojo) -> Graph:
    """The mean of all trees."""
    return build_ensemble_graph(
        combine_trees(_read_shared_trees(mojo), scale=1.0 / mojo.value("n_trees"))
    )


def build_xgboost_graph(mojo: Mojo) -> Graph:
    """The base score and the sum of all trees, of inputs rounded to float32.

    Raises PublicationError for an objective with a link function and for the booster gblinear.
    """
    tf = tensorflow()
    predict = build_ensemble_graph(_read_xgboost(mojo.files["boosterBytes"]))
    zero_is_missing = bool(mojo.value("sparse"))

    def answer(features: Any) -> Any:
        seen = as_float32(features)
        if zero_is_missing:
            seen = tf.where(tf.equal(seen, 0.0), tf.constant(np.nan, tf.float64), seen)
        return predict(seen)

    return answer


def _read_shared_trees(mojo: Mojo) -> list[Tree]:
    version = tuple(int(part) for part in mojo.info["mojo_version"].split("."))
    if mojo.value("n_trees_per_class") != 1 or version < (1, 20):
        raise PublicationError(f"H2O: a MOJO of version {mojo.info['mojo_version']} is too old")
    return [
        _read_shared_tree(mojo.files[f"trees/t00_{place:03d}.bin"])
        for place in range(mojo.value("n_trees"))
    ]


def _read_shared_tree(content: bytes) -> Tree:
    """A node: type, column, way of missing values, threshold, size of what is left, left, right."""
    feature: list[int] = []
    left: list[int] = []
    right: list[int] = []
    threshold: list[float] = []
    value: list[float] = []
    missing_left: list[bool] = []

    def add() -> int:
        for one in (feature, left, right):
            one.append(-1)
        threshold.append(0.0)
        value.append(0.0)
        missing_left.append(False)
        return len(left) - 1

    def leaf(at: int) -> int:
        place = add()
        (value[place],) = struct.unpack_from("<f", content, at)
        return place

    (first,) = struct.unpack_from("<H", content, 1)
    if first == NO_COLUMN:
        leaf(4 if len(content) >= 8 else 3)
    else:
        _walk(content, add, leaf, feature, threshold, left, right, missing_left)
    return build_tree(
        feature=feature,
        threshold=lower_thresholds(np.array(threshold)),
        left=left,
        right=right,
        value=value,
        missing_left=missing_left,
    )


def _walk(
    content: bytes,
    add: Any,
    leaf: Any,
    feature: list[int],
    threshold: list[float],
    left: list[int],
    right: list[int],
    missing_left: list[bool],
) -> None:
    root = add()
    waiting = [(0, root)]
    while waiting:
        at, node = waiting.pop()
        kind, column, missing = struct.unpack_from("<BHB", content, at)
        at += 4
        feature[node] = column
        missing_left[node] = missing in (NA_LEFT, LEFT)
        if kind & 12:
            raise PublicationError("H2O: a split by category cannot be exported")
        if missing == NA_ALONE:
            threshold[node] = np.inf
        else:
            (threshold[node],) = struct.unpack_from("<f", content, at)
            at += 4
        if kind & 16:
            left[node] = leaf(at)
            after = at + 4
        else:
            width = (kind & 3) + 1
            size = int.from_bytes(content[at : at + width], "little")
            left[node] = add()
            waiting.append((at + width, left[node]))
            after = at + width + size
        if kind & 64:
            right[node] = leaf(after)
        else:
            right[node] = add()
            waiting.append((after, right[node]))


def _read_xgboost(content: bytes) -> Any:
    at = 4 if content[:4] == b"binf" else 0
    (base,) = struct.unpack_from("<f", content, at)
    at += LEARNER_BYTES
    objective, at = _read_text(content, at)
    booster, at = _read_text(content, at)
    if objective not in (*PLAIN_SUMS, "reg:linear") or booster not in ("gbtree", "dart"):
        raise PublicationError(
            f"H2O: XGBoost with objective {objective!r} and booster {booster!r} cannot be exported:"
            " use a regression with gbtree or dart"
        )
    (n_trees,) = struct.unpack_from("<i", content, at)
    at += FOREST_BYTES
    grown = []
    for _ in range(n_trees):
        (n_nodes,) = struct.unpack_from("<i", content, at + 4)
        at += TREE_BYTES
        grown.append(np.frombuffer(content, NODE, n_nodes, at))
        at += n_nodes * (NODE.itemsize + STATISTICS_BYTES)
    weights = np.ones(n_trees, np.float32)
    if booster == "dart":
        weights = np.frombuffer(content, "<f4", n_trees, at + 4 * n_trees + 8)
    return combine_trees(
        [
            _build_boosted_tree(one, float(weight))
            for one, weight in zip(grown, weights, strict=True)
        ],
        base=base,
    )


def _build_boosted_tree(nodes: Any, weight: float) -> Tree:
    return build_tree(
        feature=nodes["split"] & (DEFAULT_LEFT - 1),
        threshold=lower_thresholds(nodes["value"]),
        left=nodes["left"],
        right=nodes["right"],
        value=nodes["value"].astype(np.float64) * weight,
        missing_left=(nodes["split"] & DEFAULT_LEFT) != 0,
    )


def _read_text(content: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<Q", content, at)
    return content[at + 8 : at + 8 + size].decode(), at + 8 + size
