"""Tree ensembles as flat arrays, read from LightGBM and summed by stock TensorFlow operations."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_core.errors import PublicationError
from smartgrid_ml.tensorflow_runtime import tensorflow

BLOCK = 64
"""Trees walked at once: one block of 10,000 rows is 5 MB per operation and stays in the cache."""

CATEGORICAL, DEFAULT_LEFT, MISSING_TYPE = 0b0001, 0b0010, 0b1100
MISSING_IS_ZERO, MISSING_IS_NAN = 0b0100, 0b1000
"""Bits of a LightGBM `decision_type`."""

ZERO = float(np.float32(1e-35))
"""LightGBM takes a magnitude up to this for zero."""

PLAIN_SUMS = ("regression", "regression_l1", "quantile", "huber", "fair", "mape")
"""Objectives whose prediction is the bare sum of leaves, with no link function behind it."""

VIEWS = 4
"""NaN as -inf, NaN kept, NaN or zero as -inf, NaN or zero as NaN: see `Trees.column`."""


@dataclass(frozen=True, slots=True)
class Trees:
    """An ensemble whose prediction is `scale` times the sum of one leaf per tree.

    Nodes of all trees lie in one row. A node compares `views[column] <= threshold`; if so the walk
    goes on at `left`, else at `left + 1`. A leaf points at itself and holds `value`.
    `column` picks a feature in one of its `VIEWS`: a missing value is there the -inf or NaN that
    sends it the way the tree was trained to send it, so that the comparison alone decides. (+inf
    would not do: "known or missing" is a split at +inf.)
    """

    column: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int32]
    """(n_blocks, BLOCK)"""
    depths: npt.NDArray[np.int32]
    """(n_blocks,): steps that take every walk of the block to a leaf."""
    n_features: int
    scale: float


@dataclass(frozen=True, slots=True)
class _Tree:
    column: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    depth: int


def trees_of_lightgbm(booster: Any) -> Trees:
    """The trees that `booster.predict` uses: up to the best iteration if training stopped early.

    Raises PublicationError for what is no bare sum of numerical trees.
    """
    header, *sections = booster.model_to_string().split("\n\nend of trees")[0].split("\nTree=")
    named = dict(_assignments(header))
    objective = named.get("objective", "").split(" ")[0]
    if objective not in PLAIN_SUMS or "sqrt" in named["objective"]:
        raise PublicationError(
            f"objective {named.get('objective')!r} cannot be exported: its link function is not"
            f" known here; use one of {', '.join(PLAIN_SUMS)}"
        )
    if named["num_tree_per_iteration"] != "1":
        raise PublicationError("an ensemble of several outputs cannot be exported: train one each")
    n_features = int(named["max_feature_idx"]) + 1
    trees = [_read_tree(dict(_assignments(section)), n_features) for section in sections]
    averaged = "average_output" in header.splitlines()
    return _joined(trees, n_features, scale=1.0 / max(len(trees), 1) if averaged else 1.0)


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign:
            yield name, value


def _read_tree(named: dict[str, str], n_features: int) -> _Tree:
    n_leaves = int(named["num_leaves"])
    n_nodes = 2 * n_leaves - 1
    if named.get("is_linear", "0") != "0":
        raise PublicationError("linear trees cannot be exported: train with linear_tree=false")
    column = np.zeros(n_nodes, np.int32)
    threshold = np.full(n_nodes, np.inf)
    left = np.arange(n_nodes, dtype=np.int32)
    value = np.zeros(n_nodes)
    leaf_value = _numbers(named["leaf_value"], np.float64)
    if n_leaves == 1:
        return _Tree(column, threshold, left, leaf_value, depth=0)

    decision = _numbers(named["decision_type"], np.int64)
    if (decision & CATEGORICAL).any():
        raise PublicationError("categorical splits cannot be exported: give the category as number")
    cut = _numbers(named["threshold"], np.float64)
    children = np.stack(
        [_numbers(named["left_child"], np.int64), _numbers(named["right_child"], np.int64)], axis=1
    )
    # LightGBM counts splits and leaves apart (leaf k is child ~k); here the children of split i
    # take the places 2i + 1 and 2i + 2, which makes every right child its left sibling's neighbour.
    places = np.arange(1, n_nodes).reshape(-1, 2)
    split_place = np.zeros(n_leaves - 1, np.int64)
    split_place[children[children >= 0]] = places[children >= 0]
    leaf_place = np.zeros(n_leaves, np.int64)
    leaf_place[~children[children < 0]] = places[children < 0]

    column[split_place] = _numbers(named["split_feature"], np.int64) + n_features * _view(
        decision, cut
    )
    threshold[split_place] = cut
    left[split_place] = places[:, 0]
    value[leaf_place] = leaf_value
    return _Tree(column, threshold, left, value, depth=_depth(children))


def _view(decision: npt.NDArray[np.int64], cut: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Which view of its feature a split compares: LightGBM's rule for missing values.

    Missing type NaN: NaN goes the default way. None: NaN counts as zero. Zero: NaN and zero go the
    default way.
    """
    missing = decision & MISSING_TYPE
    goes_left = np.where(missing == 0, cut >= 0, (decision & DEFAULT_LEFT) != 0)
    return np.where(goes_left, 0, 1) + np.where(missing == MISSING_IS_ZERO, 2, 0)


def _numbers(text: str, dtype: Any) -> npt.NDArray[Any]:
    return np.array(text.split(), dtype=dtype)


def _depth(children: npt.NDArray[np.int64]) -> int:
    depth = np.ones(len(children), np.int64)
    for split, pair in enumerate(children):  # a split comes after its parent
        for child in pair:
            if child >= 0:
                depth[child] = depth[split] + 1
    return int(depth.max())


def _joined(trees: list[_Tree], n_features: int, *, scale: float) -> Trees:
    """All trees in one row, the deep ones together, a zero leaf filling the last block."""
    nothing = _Tree(
        np.zeros(1, np.int32), np.full(1, np.inf), np.zeros(1, np.int32), np.zeros(1), depth=0
    )
    ordered = sorted(trees, key=lambda tree: tree.depth)
    ordered = [nothing] * (-len(ordered) % BLOCK or BLOCK * (not ordered)) + ordered
    starts = np.cumsum([0] + [len(tree.left) for tree in ordered[:-1]])
    return Trees(
        column=np.concatenate([tree.column for tree in ordered]),
        threshold=np.concatenate([tree.threshold for tree in ordered]),
        left=np.concatenate(
            [tree.left + start for tree, start in zip(ordered, starts, strict=True)]
        ).astype(np.int32),
        value=np.concatenate([tree.value for tree in ordered]),
        roots=starts.astype(np.int32).reshape(-1, BLOCK),
        depths=np.array([tree.depth for tree in ordered], np.int32).reshape(-1, BLOCK).max(axis=1),
        n_features=n_features,
        scale=scale,
    )


def tree_views(features: Any) -> Any:
    """What `Trees.column` counts: float64 (batch, n_features) -> (batch, VIEWS * n_features)."""
    tf = tensorflow()

    leftmost, rightmost = tf.constant(-np.inf, tf.float64), tf.constant(np.nan, tf.float64)
    is_nan = tf.math.is_nan(features)
    is_missing = is_nan | (tf.abs(features) <= ZERO)
    return tf.concat(
        [
            tf.where(which, end, features)
            for which in (is_nan, is_missing)
            for end in (leftmost, rightmost)
        ],
        axis=1,
    )


def tree_sum(trees: Trees, views: Any) -> Any:
    """The ensemble's prediction, float64 (batch,), from `tree_views` of its features."""
    tf = tensorflow()

    column, threshold = tf.constant(trees.column), tf.constant(trees.threshold)
    left, value = tf.constant(trees.left), tf.constant(trees.value)
    roots, depths = tf.constant(trees.roots), tf.constant(trees.depths)
    n_rows = tf.shape(views)[0]

    def step(taken: Any, node: Any) -> tuple[Any, Any]:
        compared = tf.gather(views, tf.gather(column, node), axis=1, batch_dims=1)
        goes_left = compared <= tf.gather(threshold, node)
        return taken + 1, tf.gather(left, node) + 1 - tf.cast(goes_left, tf.int32)

    def block(index: Any, total: Any) -> tuple[Any, Any]:
        node = tf.broadcast_to(roots[index], [n_rows, BLOCK])
        steps = depths[index]
        _, node = tf.while_loop(lambda taken, _: taken < steps, step, [tf.constant(0), node])
        return index + 1, total + tf.reduce_sum(tf.gather(value, node), axis=1)

    _, total = tf.while_loop(
        lambda index, _: index < len(trees.depths),
        block,
        [tf.constant(0), tf.zeros([n_rows], tf.float64)],
    )
    return total * trees.scale
