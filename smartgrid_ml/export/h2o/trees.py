"""Tree models of H2O in TensorFlow operations: GBM, DRF and XGBoost.

Formats: SharedTreeMojoModel.scoreTree of h2o-genmodel 3.46 for the trees of GBM and DRF; XGBoost's
binary model of before version 1.7 (LearnerModelParam, GBTreeModelParam, RegTree) for XGBoost.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.artifact.rounding import as_float32
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.export.h2o.links import build_inverse_link
from smartgrid_ml.export.h2o.mojo import Mojo
from smartgrid_ml.export.trees.ensemble import TreeEnsemble, build_ensemble_graph, combine_trees
from smartgrid_ml.export.trees.tree import Tree, build_tree, lower_thresholds
from smartgrid_ml.export.trees.xgboost import PLAIN_SUMS
from smartgrid_ml.tensorflow_runtime import tensorflow

NO_COLUMN = 0xFFFF
"""The column of a tree that is nothing but a leaf."""

NA_ALONE, NA_LEFT, LEFT = 1, 2, 4
"""What a node says of missing values: against all others; left, learned; left, by default."""

SIZE_BYTES, BY_CATEGORY, LEFT_IS_LEAF, RIGHT_IS_LEAF = 3, 12, 16, 64
"""Bits of a node's type; the first two say how many bytes hold the size of what is left."""

LEARNER_BYTES, FOREST_BYTES, TREE_BYTES = 136, 160, 148
"""Sizes of XGBoost's parameter blocks."""

NODE = np.dtype(
    [("parent", "<i4"), ("left", "<i4"), ("right", "<i4"), ("split", "<u4"), ("value", "<f4")]
)
"""One node of a tree in XGBoost's binary model."""

STATISTICS_BYTES = 16
"""Per node, behind the nodes of each tree."""

DEFAULT_LEFT = 1 << 31
"""The bit of `split` that sends missing values left; the others are the feature."""


def build_gbm_graph(mojo: Mojo) -> Graph:
    """Return init_f plus the sum of all trees, through the inverse of the link."""
    link = build_inverse_link(mojo.info["link_function"])
    predict = build_ensemble_graph(
        combine_trees(_read_shared_trees(mojo), base=mojo.read_value("init_f"))
    )
    return lambda features: link(predict(features))


def build_drf_graph(mojo: Mojo) -> Graph:
    """Return the mean of all trees."""
    scale = 1.0 / mojo.read_value("n_trees")
    return build_ensemble_graph(combine_trees(_read_shared_trees(mojo), scale=scale))


def build_xgboost_graph(mojo: Mojo) -> Graph:
    """Return the base score plus the sum of all trees, of inputs rounded to float32.

    Raises PublicationError for an objective with a link function and for the booster gblinear.
    """
    tf = tensorflow()
    predict = build_ensemble_graph(_read_xgboost(mojo.files["boosterBytes"]))
    zero_is_missing = bool(mojo.read_value("sparse"))

    def answer(features: Any) -> Any:
        rounded = as_float32(features)
        if zero_is_missing:
            rounded = tf.where(tf.equal(rounded, 0.0), tf.constant(np.nan, tf.float64), rounded)
        return predict(rounded)

    return answer


def _read_shared_trees(mojo: Mojo) -> list[Tree]:
    """Return the trees of a GBM or DRF. Raises PublicationError for a MOJO older than 1.20."""
    version = tuple(int(part) for part in mojo.info["mojo_version"].split("."))
    if mojo.read_value("n_trees_per_class") != 1 or version < (1, 20):
        raise PublicationError(f"H2O: a MOJO of version {mojo.info['mojo_version']} is too old")
    return [
        _SharedTreeReader(mojo.files[f"trees/t00_{place:03d}.bin"]).read()
        for place in range(mojo.read_value("n_trees"))
    ]


@dataclass(slots=True)
class _SharedTreeReader:
    """Reads one tree of GBM or DRF: a list per property, an entry per node, the root first."""

    content: bytes
    """A split: type, column, way of missing values, threshold, bytes on the left, left, right."""
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    missing_left: list[bool] = field(default_factory=list)

    def read(self) -> Tree:
        """Return the tree. Raises PublicationError for a split by category."""
        (first_column,) = struct.unpack_from("<H", self.content, 1)
        if first_column == NO_COLUMN:
            self._add_leaf(4 if len(self.content) >= 8 else 3)
        else:
            waiting = [(0, self._add_node())]
            while waiting:
                waiting += self._read_split(*waiting.pop())
        return build_tree(
            feature=self.feature,
            threshold=lower_thresholds(np.array(self.threshold)),
            left=self.left,
            right=self.right,
            value=self.value,
            missing_left=self.missing_left,
        )

    def _read_split(self, at: int, node: int) -> list[tuple[int, int]]:
        """Read the split that begins at byte `at`; return (byte, node) of children that split."""
        kind, column, missing = struct.unpack_from("<BHB", self.content, at)
        at += 4
        self.feature[node] = column
        self.missing_left[node] = missing in (NA_LEFT, LEFT)
        if kind & BY_CATEGORY:
            raise PublicationError("H2O: a split by category cannot be exported")
        if missing == NA_ALONE:
            self.threshold[node] = np.inf
        else:
            (self.threshold[node],) = struct.unpack_from("<f", self.content, at)
            at += 4
        splits: list[tuple[int, int]] = []
        if kind & LEFT_IS_LEAF:
            self.left[node] = self._add_leaf(at)
            after = at + 4
        else:
            width = (kind & SIZE_BYTES) + 1
            size = int.from_bytes(self.content[at : at + width], "little")
            self.left[node] = self._add_node()
            splits.append((at + width, self.left[node]))
            after = at + width + size
        if kind & RIGHT_IS_LEAF:
            self.right[node] = self._add_leaf(after)
        else:
            self.right[node] = self._add_node()
            splits.append((after, self.right[node]))
        return splits

    def _add_node(self) -> int:
        """Add an empty node; return its place."""
        for places in (self.feature, self.left, self.right):
            places.append(-1)
        self.threshold.append(0.0)
        self.value.append(0.0)
        self.missing_left.append(False)
        return len(self.left) - 1

    def _add_leaf(self, at: int) -> int:
        """Add the leaf whose value begins at byte `at`; return its place."""
        place = self._add_node()
        (self.value[place],) = struct.unpack_from("<f", self.content, at)
        return place


def _read_xgboost(content: bytes) -> TreeEnsemble:
    """Return the ensemble of XGBoost's binary model.

    Raises PublicationError for an objective or booster whose prediction is no sum of trees.
    """
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
    trees = []
    for _ in range(n_trees):
        (n_nodes,) = struct.unpack_from("<i", content, at + 4)
        at += TREE_BYTES
        trees.append(np.frombuffer(content, NODE, n_nodes, at))
        at += n_nodes * (NODE.itemsize + STATISTICS_BYTES)
    weights = np.ones(n_trees, np.float32)
    if booster == "dart":
        weights = np.frombuffer(content, "<f4", n_trees, at + 4 * n_trees + 8)
    return combine_trees(
        [
            _build_boosted_tree(nodes, float(weight))
            for nodes, weight in zip(trees, weights, strict=True)
        ],
        base=base,
    )


def _build_boosted_tree(nodes: Any, weight: float) -> Tree:
    """Return the tree of an array of NODE, its leaves times `weight`."""
    return build_tree(
        feature=nodes["split"] & (DEFAULT_LEFT - 1),
        threshold=lower_thresholds(nodes["value"]),
        left=nodes["left"],
        right=nodes["right"],
        value=nodes["value"].astype(np.float64) * weight,
        missing_left=(nodes["split"] & DEFAULT_LEFT) != 0,
    )


def _read_text(content: bytes, at: int) -> tuple[str, int]:
    """Return the text that begins at byte `at`, its length before it, and the byte behind it."""
    (size,) = struct.unpack_from("<Q", content, at)
    return content[at + 8 : at + 8 + size].decode(), at + 8 + size
