"""Tree ensembles as flat arrays, walked and summed by stock TensorFlow operations.

The reader of a library hands its trees, made by `build_tree`, to `combine_trees`, and gets the
prediction from `build_ensemble_graph`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_core.arrays import F64, I64
from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.export.trees.small import build_small_trees, sum_small_trees
from smartgrid_ml.export.trees.tree import Categories, Tree, build_tree
from smartgrid_ml.tensorflow_runtime import tensorflow

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

Question = tuple[int, int, Categories]
"""(feature, view, categories) of a split by category; `TreeEnsemble` explains the views."""


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """An ensemble whose prediction is `base` and `scale` times the sum of one leaf per tree.

    Only the rank of a feature among the thresholds that it is compared with counts: a row is turned
    into ranks once, and each node compares `columns[column] <= rank`, going on at `left` if so,
    else at `left + 1`. A column is a feature in one of four views, which say where a missing value
    goes: 0 NaN left, 1 NaN right, 2 NaN and zero left, 3 NaN and zero right; or it is the answer to
    one question for categories.
    """

    nodes: I64
    """(n_nodes,), nodes of all trees, each packed: left, rank, column from the lowest bits on."""
    value: F64
    """(n_nodes,), what a leaf adds to the sum."""
    roots: npt.NDArray[np.int32]
    """(n_blocks, BLOCK), the node where each tree begins."""
    depths: npt.NDArray[np.int32]
    """(n_blocks,): steps that take every walk of the block to a leaf."""
    cuts: F64
    """(compared features, most thresholds), sorted, filled up with +inf."""
    compared: npt.NDArray[np.int32]
    """(compared features,), the features of `cuts`."""
    views: I64
    """(numerical columns, 2): place among `compared`, view."""
    questions: Sequence[Question] = field(default=())
    """The columns after the numerical ones."""
    scale: float = 1.0
    """What the sum of the leaves is multiplied by."""
    base: float = 0.0
    """What is added to it then."""


def combine_trees(trees: Sequence[Tree], *, scale: float = 1.0, base: float = 0.0) -> TreeEnsemble:
    """Return the ensemble that predicts `base` plus `scale` times the sum of the trees.

    Raises PublicationError for one too large to be packed (millions of nodes or thresholds).
    """
    ordered = _fill_blocks(trees)
    starts = np.cumsum([0] + [len(tree.left) for tree in ordered[:-1]])
    left = np.concatenate([tree.left + start for tree, start in zip(ordered, starts, strict=True)])
    columns = _number_columns(ordered)
    column = columns.column

    questions: dict[Question, int] = {}
    for start, tree in zip(starts, ordered, strict=True):
        for node, categories in tree.categories.items():
            question = (int(tree.feature[node]), int(tree.view[node]), categories)
            place = questions.setdefault(question, len(questions))
            column[start + node] = len(columns.views) + place

    rank = columns.rank
    rank[left == np.arange(len(left))] = NEVER_LEFT
    if (
        len(left) >= 2**LEFT_BITS
        or columns.cuts.shape[1] >= NEVER_LEFT
        or len(columns.views) + len(questions) > 2**COLUMN_BITS
    ):
        raise PublicationError(
            f"an ensemble of {len(left):,} nodes cannot be exported: grow fewer or smaller trees"
        )
    return TreeEnsemble(
        nodes=left | (rank << LEFT_BITS) | (column << (LEFT_BITS + RANK_BITS)),
        value=np.concatenate([tree.value for tree in ordered]),
        roots=starts.astype(np.int32).reshape(-1, BLOCK),
        depths=np.array([tree.depth for tree in ordered], np.int32).reshape(-1, BLOCK).max(axis=1),
        cuts=columns.cuts,
        compared=columns.compared.astype(np.int32),
        views=columns.views,
        questions=tuple(questions),
        scale=scale,
        base=base,
    )


def _fill_blocks(trees: Sequence[Tree]) -> list[Tree]:
    """Return the trees by depth, behind trees of one zero leaf that fill the first block."""
    leaf = build_tree(
        feature=[0], threshold=[0], left=[-1], right=[-1], value=[0], missing_left=True
    )
    ordered = sorted(trees, key=lambda tree: tree.depth)
    return [leaf] * (-len(ordered) % BLOCK or BLOCK * (not ordered)) + ordered


@dataclass(frozen=True, slots=True)
class _NumericalColumns:
    """Which column each node compares with which rank; see `TreeEnsemble`."""

    column: I64
    """(n_nodes,), 0 where a node compares no number."""
    rank: I64
    """(n_nodes,), the threshold's place in its row of `cuts`."""
    cuts: F64
    compared: I64
    views: I64


def _number_columns(trees: Sequence[Tree]) -> _NumericalColumns:
    """Return columns and ranks of all nodes of these trees that compare a number."""
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = np.concatenate([tree.threshold for tree in trees])
    view = np.concatenate([tree.view for tree in trees])
    compares = ~np.isnan(threshold)
    compared = np.unique(feature[compares])
    cuts_of = [np.unique(threshold[compares & (feature == number)]) for number in compared]
    cuts = np.full((len(compared), max(map(len, cuts_of), default=0)), np.inf)
    rank = np.zeros(len(feature), np.int64)
    column = np.zeros(len(feature), np.int64)
    for place, (number, distinct) in enumerate(zip(compared, cuts_of, strict=True)):
        cuts[place, : len(distinct)] = distinct
        at = compares & (feature == number)
        rank[at] = np.searchsorted(distinct, threshold[at])
        column[at] = place * 4 + view[at]
    # only columns that some node compares are kept
    used, column[compares] = np.unique(column[compares], return_inverse=True)
    return _NumericalColumns(
        column=column,
        rank=rank,
        cuts=cuts,
        compared=compared,
        views=np.stack([used // 4, used % 4], axis=1),
    )


def build_ensemble_graph(trees: TreeEnsemble) -> Graph:
    """Return the prediction: a function of float64 (batch, features) to float64 (batch,)."""
    column, rank, left = _unpack_nodes(trees.nodes)
    small = build_small_trees(
        roots=trees.roots.reshape(-1), column=column, rank=rank, left=left, value=trees.value
    )

    def predict(features: Any) -> Any:
        columns = _rank_features(trees, features)
        total = _sum_walked(trees, columns) if small is None else sum_small_trees(small, columns)
        return total * trees.scale + trees.base

    return predict


def _unpack_nodes(nodes: I64) -> tuple[I64, I64, I64]:
    """Return column, rank and left child of packed nodes, each (n_nodes,)."""
    return (
        nodes >> (LEFT_BITS + RANK_BITS),
        (nodes >> LEFT_BITS) & NEVER_LEFT,
        nodes & (2**LEFT_BITS - 1),
    )


def _sum_walked(trees: TreeEnsemble, columns: Any) -> Any:
    """Return the sum of one leaf per tree, float64 (batch,), of int32 (batch, columns)."""
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
    """Return the columns that nodes compare, int32 (batch, columns), at least one."""
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


def _is_missing(numbers: Any, view: I64) -> Any:
    """Return bool (batch, columns): whether a number is missing in its column's view."""
    tf = tensorflow()
    return tf.math.is_nan(numbers) | ((tf.abs(numbers) <= ZERO) & (view >= 2))


def _choose_end(view: I64) -> npt.NDArray[np.int32]:
    """Return the rank of a missing value per column, int32 (columns,)."""
    return np.where(view % 2 == 0, ALWAYS_LEFT, NEVER_LEFT).astype(np.int32)


def _answer_questions(questions: Sequence[Question], features: Any) -> Any:
    """Return -1 or 0 for rows that go left, more for the others, int32 (batch, questions)."""
    tf = tensorflow()
    at, view = (np.array([question[place] for question in questions], np.int64) for place in (0, 1))
    # per question a row of answers by category, the last for every unknown one, (questions, width)
    width = 2 + max(max(categories.members, default=0) for _, _, categories in questions)
    table = np.zeros((len(questions), width), np.int32)
    for row, (_, _, categories) in zip(table, questions, strict=True):
        row[:] = categories.members_left
        row[list(categories.members)] = not categories.members_left
    numbers = tf.gather(features, at, axis=1)
    missing = _is_missing(numbers, view)
    # the category of each row, its number's whole part, (batch, questions)
    none = tf.constant(width - 1.0, tf.float64)
    whole = tf.where(numbers > -1, tf.minimum(tf.floor(tf.abs(numbers)), none), none)
    code = tf.cast(tf.where(missing, none, whole), tf.int32)
    answer = tf.gather(
        tf.constant(table.reshape(-1)), code + np.arange(len(at), dtype=np.int32) * width
    )
    return tf.where(missing, _choose_end(view), answer)
