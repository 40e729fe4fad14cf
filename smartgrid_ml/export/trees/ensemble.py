"""Tree ensembles as flat arrays, walked and summed by stock TensorFlow operations.

A family reads its library's trees, hands each to `tree`, all of them to `ensemble`, and gets the
prediction of `build_ensemble_graph`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.export.trees.small import build_small_trees, sum_small_trees
from smartgrid_ml.tensorflow_runtime import tensorflow

FloatArray = npt.NDArray[np.float64]

BLOCK = 64
"""Trees walked at once: one block of 10,000 rows is 5 MB per operation and stays in the cache."""

ZERO = float(np.float32(1e-35))
"""LightGBM takes a magnitude up to this for zero."""

LEFT_BITS, RANK_BITS, COLUMN_BITS = 26, 21, 16
"""A node is one integer: where it leads to, the rank and the column that it compares."""

NEVER_LEFT = 2**RANK_BITS - 1
"""The rank of what goes right at every split."""

ALWAYS_LEFT = -1
"""The rank of what goes left at every split."""


@dataclass(frozen=True, slots=True)
class Categories:
    """A split by category: the whole part of the feature's number says which one it is.

    `members` go left, and all other known numbers right; or the other way round. Missing values go
    where the node sends missing values.
    """

    members: frozenset[int]
    members_left: bool = True


Question = tuple[int, int, Categories]
"""(feature, view, categories): which way a row goes by its category."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of `tree`, its nodes in an order in which every right child follows its sibling."""

    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    """NaN at a leaf and at a split by category."""
    view: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    """A leaf is its own left child."""
    value: npt.NDArray[np.float64]
    categories: Mapping[int, Categories]
    depth: int


def build_tree(
    *,
    feature: npt.ArrayLike,
    threshold: npt.ArrayLike,
    left: npt.ArrayLike,
    right: npt.ArrayLike,
    value: npt.ArrayLike,
    missing_left: npt.ArrayLike,
    zero_is_missing: npt.ArrayLike = False,
    categories: Mapping[int, Categories] | None = None,
) -> Tree:
    """One tree from arrays of one entry per node, the root first, the others in any order.

    `left`, `right`: the children's places, negative at a leaf. A node sends a number left if it is
    `<= threshold` (for libraries that ask `<` give `lower_thresholds(threshold)`); NaN left if
    `missing_left`, and with it zeros if `zero_is_missing`. An infinite threshold parts the known
    (all left) from the missing. `value`: what a leaf adds; of splits it is ignored. `categories`:
    the nodes that split by category, whose threshold is ignored.

    Raises ValueError if a node is reached twice or a threshold is NaN.
    """
    left, right = np.asarray(left, np.int64), np.asarray(right, np.int64)
    n_nodes = len(left)
    feature = np.asarray(feature, np.int64)
    threshold = np.asarray(threshold, np.float64)
    value = np.asarray(value, np.float64)
    is_left = np.broadcast_to(np.asarray(missing_left, bool), n_nodes)
    is_zero = np.broadcast_to(np.asarray(zero_is_missing, bool), n_nodes)
    categories = categories or {}

    order, depth, level = [0], 0, [0]
    child_place = np.zeros(n_nodes, np.int64)
    while level := [child for at in level if left[at] >= 0 for child in (left[at], right[at])]:
        child_place[level] = len(order) + np.arange(len(level))
        order += level
        depth += 1
        if len(order) > n_nodes:
            raise ValueError(f"a tree of {n_nodes} nodes has a node with two parents")
    places = np.array(order)
    is_leaf = left[places] < 0
    by_category = np.isin(places, list(categories))
    cut = np.where(is_leaf | by_category, np.nan, threshold[places])
    if np.isnan(cut[~is_leaf & ~by_category]).any():
        raise ValueError("a threshold is NaN: give +inf for known against missing")
    return Tree(
        feature=np.where(is_leaf, 0, feature[places]),
        threshold=cut,
        view=np.where(is_left[places], 0, 1) + np.where(is_zero[places], 2, 0),
        left=np.where(is_leaf, np.arange(len(places)), child_place[left[places]]),
        value=np.where(is_leaf, value[places], 0.0),
        categories={
            new: categories[old] for new, old in enumerate(places.tolist()) if old in categories
        },
        depth=depth,
    )


def lower_thresholds(threshold: npt.ArrayLike) -> FloatArray:
    """The threshold that parts numbers by `<=` as the one given does by `<`.

    Among numbers of the threshold's own type: give float32 where float32 are compared. Below zero
    it is never so near that TensorFlow takes it for zero.
    """
    given = np.asarray(threshold)
    below = np.nextafter(given, given.dtype.type(-np.inf)).astype(np.float64)
    least = np.finfo(np.float64).tiny
    return np.where((below < 0) & (below > -least), -least, below)


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """An ensemble whose prediction is `base` and `scale` times the sum of one leaf per tree.

    Of each feature only its rank among the thresholds counts that it is compared with: a row is
    turned into ranks once, and each node compares `columns[column] <= rank`, going on at `left` if
    so, else at `left + 1`. A column is a feature in one of four views, which tell where a missing
    value goes: NaN left, NaN right, NaN and zero left, NaN and zero right; or the answer to one
    question for categories.
    """

    nodes: npt.NDArray[np.int64]
    """Nodes of all trees, each packed: left, rank, column from the lowest bits on."""
    value: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int32]
    """(n_blocks, BLOCK)"""
    depths: npt.NDArray[np.int32]
    """(n_blocks,): steps that take every walk of the block to a leaf."""
    cuts: npt.NDArray[np.float64]
    """(compared features, most thresholds), sorted, filled up with +inf."""
    compared: npt.NDArray[np.int32]
    """The features of `cuts`."""
    views: npt.NDArray[np.int64]
    """(numerical columns, 2): place among `compared`, view."""
    questions: Sequence[Question] = field(default=())
    """The columns after the numerical ones."""
    scale: float = 1.0
    base: float = 0.0


def combine_trees(trees: Sequence[Tree], *, scale: float = 1.0, base: float = 0.0) -> TreeEnsemble:
    """Trees whose sum, times `scale`, plus `base` is a prediction.

    Raises PublicationError for one too large to be packed (millions of nodes or thresholds).
    """
    leaf = build_tree(
        feature=[0], threshold=[0], left=[-1], right=[-1], value=[0], missing_left=True
    )
    ordered = sorted(trees, key=lambda one: one.depth)
    # Trees of one depth lie together, zero leaves fill the first block.
    ordered = [leaf] * (-len(ordered) % BLOCK or BLOCK * (not ordered)) + ordered
    starts = np.cumsum([0] + [len(one.left) for one in ordered[:-1]])
    feature = np.concatenate([one.feature for one in ordered])
    threshold = np.concatenate([one.threshold for one in ordered])
    view = np.concatenate([one.view for one in ordered])
    left = np.concatenate([one.left + start for one, start in zip(ordered, starts, strict=True)])

    compares = ~np.isnan(threshold)
    compared = np.unique(feature[compares])
    cuts_of = [np.unique(threshold[compares & (feature == one)]) for one in compared]
    cuts = np.full((len(compared), max(map(len, cuts_of), default=0)), np.inf)
    rank = np.zeros(len(left), np.int64)
    column = np.zeros(len(left), np.int64)
    for place, (one, distinct) in enumerate(zip(compared, cuts_of, strict=True)):
        cuts[place, : len(distinct)] = distinct
        at = compares & (feature == one)
        rank[at] = np.searchsorted(distinct, threshold[at])
        column[at] = place * 4 + view[at]
    seen, column[compares] = np.unique(column[compares], return_inverse=True)

    questions: dict[Question, int] = {}
    for start, one in zip(starts, ordered, strict=True):
        for node, categories in one.categories.items():
            question = (int(one.feature[node]), int(one.view[node]), categories)
            column[start + node] = len(seen) + questions.setdefault(question, len(questions))

    rank[left == np.arange(len(left))] = NEVER_LEFT
    if (
        len(left) >= 2**LEFT_BITS
        or cuts.shape[1] >= NEVER_LEFT
        or len(seen) + len(questions) > 2**COLUMN_BITS
    ):
        raise PublicationError(
            f"an ensemble of {len(left):,} nodes cannot be exported: grow fewer or smaller trees"
        )
    return TreeEnsemble(
        nodes=left | (rank << LEFT_BITS) | (column << (LEFT_BITS + RANK_BITS)),
        value=np.concatenate([one.value for one in ordered]),
        roots=starts.astype(np.int32).reshape(-1, BLOCK),
        depths=np.array([one.depth for one in ordered], np.int32).reshape(-1, BLOCK).max(axis=1),
        cuts=cuts,
        compared=compared.astype(np.int32),
        views=np.stack([seen // 4, seen % 4], axis=1),
        questions=tuple(questions),
        scale=scale,
        base=base,
    )


def build_ensemble_graph(trees: TreeEnsemble) -> Graph:
    """The ensemble's prediction: a function of float64 (batch, features) to float64 (batch,)."""
    column, rank, left = _unpack_nodes(trees.nodes)
    small = build_small_trees(
        roots=trees.roots.reshape(-1), column=column, rank=rank, left=left, value=trees.value
    )

    def predict(features: Any) -> Any:
        columns = _rank_features(trees, features)
        total = _sum_walked(trees, columns) if small is None else sum_small_trees(small, columns)
        return total * trees.scale + trees.base

    return predict


def _unpack_nodes(nodes: Any) -> tuple[Any, Any, Any]:
    return (
        nodes >> (LEFT_BITS + RANK_BITS),
        (nodes >> LEFT_BITS) & NEVER_LEFT,
        nodes & (2**LEFT_BITS - 1),
    )


def _sum_walked(trees: TreeEnsemble, columns: Any) -> Any:
    """The sum of one leaf per tree, float64 (batch,), of int32 (batch, columns)."""
    tf = tensorflow()
    n_rows, n_columns = tf.shape(columns)[0], tf.shape(columns)[1]
    flat = tf.reshape(columns, [-1])
    row_start = (tf.range(n_rows) * n_columns)[:, tf.newaxis]
    nodes, value = tf.constant(trees.nodes), tf.constant(trees.value)
    roots, depths = tf.constant(trees.roots), tf.constant(trees.depths)
    whole = tf.constant(NEVER_LEFT, tf.int64)

    def step(taken: Any, node: Any) -> tuple[Any, Any]:
        packed = tf.gather(nodes, node)
        upper = tf.bitwise.right_shift(packed, LEFT_BITS)
        column = tf.cast(tf.bitwise.right_shift(upper, RANK_BITS), tf.int32)
        rank = tf.cast(tf.bitwise.bitwise_and(upper, whole), tf.int32)
        left = tf.cast(
            tf.bitwise.bitwise_and(packed, tf.constant(2**LEFT_BITS - 1, tf.int64)), tf.int32
        )
        goes_right = tf.gather(flat, row_start + column) > rank
        return taken + 1, left + tf.cast(goes_right, tf.int32)

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
    return total


def _rank_features(trees: TreeEnsemble, features: Any) -> Any:
    """The columns that nodes compare, int32 (batch, columns), at least one."""
    tf = tensorflow()
    columns = []
    if len(trees.views):
        known = tf.gather(features, trees.compared, axis=1)
        # How many thresholds are less than the number: it is `<=` all the others.
        rank = tf.transpose(
            tf.searchsorted(tf.constant(trees.cuts), tf.transpose(known), side="left")
        )
        place, view = trees.views[:, 0], trees.views[:, 1]
        missing = _is_missing(tf.gather(known, place, axis=1), view)
        columns.append(tf.where(missing, _choose_end(view), tf.gather(rank, place, axis=1)))
    if trees.questions:
        columns.append(_answer_questions(trees.questions, features))
    if not columns:
        return tf.zeros([tf.shape(features)[0], 1], tf.int32)
    return tf.concat(columns, axis=1)


def _is_missing(known: Any, view: npt.NDArray[np.int64]) -> Any:
    tf = tensorflow()
    return tf.math.is_nan(known) | ((tf.abs(known) <= ZERO) & (view >= 2))


def _choose_end(view: npt.NDArray[np.int64]) -> Any:
    return np.where(view % 2 == 0, ALWAYS_LEFT, NEVER_LEFT).astype(np.int32)


def _answer_questions(questions: Sequence[Question], features: Any) -> Any:
    """-1 or 0 for rows that go left, more for those that go right, int32 (batch, questions)."""
    tf = tensorflow()
    at, view = (np.array([one[place] for one in questions], np.int64) for place in (0, 1))
    width = 2 + max(max(asked.members, default=0) for _, _, asked in questions)
    table = np.zeros((len(questions), width), np.int32)
    for row, (_, _, asked) in zip(table, questions, strict=True):
        row[:] = asked.members_left
        row[list(asked.members)] = not asked.members_left
    asked_for = tf.gather(features, at, axis=1)
    missing = _is_missing(asked_for, view)
    none = tf.constant(width - 1.0, tf.float64)
    whole = tf.where(asked_for > -1, tf.minimum(tf.floor(tf.abs(asked_for)), none), none)
    code = tf.cast(tf.where(missing, none, whole), tf.int32)
    answer = tf.gather(
        tf.constant(table.reshape(-1)), code + np.arange(len(at), dtype=np.int32) * width
    )
    return tf.where(missing, _choose_end(view), answer)
