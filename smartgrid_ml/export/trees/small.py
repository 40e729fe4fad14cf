"""Ensembles of trees with few leaves, asked for 64 rows at a time: each row is one bit of a word.

A walk from node to node picks single numbers out of tables, which TensorFlow does slowly. Here
every question of the ensemble is answered once for all rows, which makes a bit per row; "reaches
this node" is the parent's bits and-ed with the answer's, for whole levels of all trees at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_core.arrays import F64, I64
from smartgrid_ml.tensorflow_runtime import tensorflow

WORD = 64
"""Rows per integer."""

MOST_LEAVES = 256
"""A leaf's number within its tree is one byte."""

MOST_QUESTIONS = 16_384
"""With more of them, answering all takes longer than walking the trees."""

CHUNK = 1024
"""Rows answered at once: a thousand trees of a hundred nodes take 13 MB then."""

Places = npt.NDArray[np.int32]

GATHER = 0x0102040810204080
"""The first of eight bytes becomes the lowest bit."""


@dataclass(frozen=True, slots=True)
class Level:
    """The nodes at one depth of all trees: children of the splits before, left ones, then right."""

    splits: Places
    """Where the splits lie in the level before."""
    questions: Places
    """Which question each of them asks."""


@dataclass(frozen=True, slots=True)
class SmallTrees:
    """An ensemble by levels; nodes of all levels are counted through, the roots first."""

    column: Places
    """(questions,): the column that a question looks at."""
    rank: Places
    """(questions,): a row goes right if `columns[column] > rank`."""
    levels: Sequence[Level]
    """From the children of the roots down."""
    coded: Sequence[Places]
    """Per bit of a leaf's number, (trees, most): the leaves with that bit; -1 for none."""
    value: F64
    """(trees, leaves): what each leaf adds to the sum."""


def build_small_trees(
    *,
    roots: npt.NDArray[Any],
    column: I64,
    rank: I64,
    left: I64,
    value: F64,
) -> SmallTrees | None:
    """Return the nodes of all trees by levels, or None if the trees are too large for it.

    Args:
        roots: int (n_trees,), the node where each tree begins.
        column: int64 (n_nodes,), the column that a split compares.
        rank: int64 (n_nodes,); a row goes left if its number in the column is `<= rank`.
        left: int64 (n_nodes,), the left child; the right one follows it; a leaf is its own.
        value: float64 (n_nodes,), what a leaf adds to the sum.

    Returns:
        None for more than MOST_QUESTIONS different questions or a tree of over MOST_LEAVES leaves.
    """
    is_split = left != np.arange(len(left))
    # the different questions, (questions, 2), and which of them each node asks, (n_nodes,)
    questions, question = np.unique(
        np.stack([column, rank], axis=1)[is_split], axis=0, return_inverse=True
    )
    question_of = np.zeros(len(left), np.int32)
    question_of[is_split] = question
    if len(questions) > MOST_QUESTIONS:
        return None
    levels, leaves = _list_levels(roots, left, question_of)
    counts = np.bincount(leaves[:, 0], minlength=len(roots))
    if counts.max() > MOST_LEAVES:
        return None
    # a leaf's number within its tree, (leaves,), and its value at [tree, number]
    code = _number_within_tree(counts)
    values = np.zeros((len(roots), int(counts.max())))
    values[leaves[:, 0], code] = value[leaves[:, 2]]
    bits = range(int(counts.max() - 1).bit_length())
    return SmallTrees(
        column=questions[:, 0].astype(np.int32),
        rank=questions[:, 1].astype(np.int32),
        levels=levels,
        coded=[_group_by_tree(leaves[(code >> bit) & 1 == 1], trees=len(roots)) for bit in bits],
        value=values,
    )


def _list_levels(
    roots: npt.NDArray[Any], left: I64, question_of: Places
) -> tuple[list[Level], I64]:
    """Return the levels below the roots and the leaves, int64 (leaves, 3).

    A leaf is (tree, place among the nodes of all levels, node), ordered by tree.
    """
    is_split = left != np.arange(len(left))
    nodes, tree, n_before = roots, np.arange(len(roots)), 0
    levels: list[Level] = []
    leaves: list[npt.NDArray[Any]] = []
    while True:
        at = np.flatnonzero(~is_split[nodes])
        leaves.append(np.stack([tree[at], n_before + at, nodes[at]], axis=1))
        splits = np.flatnonzero(is_split[nodes])
        if not len(splits):
            break
        parents = nodes[splits]
        levels.append(Level(splits.astype(np.int32), question_of[parents]))
        n_before += len(nodes)
        tree = np.concatenate([tree[splits]] * 2)
        nodes = np.concatenate([left[parents], left[parents] + 1])
    every = np.concatenate(leaves)
    return levels, every[np.argsort(every[:, 0], kind="stable")]


def _number_within_tree(counts: npt.NDArray[np.int_]) -> I64:
    """Return 0, 1, 2... for every leaf of each tree, (leaves,); `counts`: leaves per tree."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def _group_by_tree(leaves: I64, *, trees: int) -> Places:
    """Return the places of leaves, a row per tree, filled up with -1: (trees, most)."""
    counts = np.bincount(leaves[:, 0], minlength=trees)
    rows = np.full((trees, max(1, int(counts.max()))), -1, np.int32)
    rows[leaves[:, 0], _number_within_tree(counts)] = leaves[:, 1]
    return rows


def sum_small_trees(trees: SmallTrees, columns: Any) -> Any:
    """Return the sum of one leaf per tree, float64 (batch,), of int32 (batch, columns)."""
    tf = tensorflow()
    n_rows = tf.shape(columns)[0]
    n_whole = -(-n_rows // WORD) * WORD
    by_column = tf.transpose(tf.pad(columns, [[0, n_whole - n_rows], [0, 0]]))
    n_chunks = -(-n_whole // CHUNK)

    def chunk(index: Any, answers: Any) -> tuple[Any, Any]:
        rows = by_column[:, index * CHUNK : (index + 1) * CHUNK]
        return index + 1, answers.write(index, _sum_chunk(trees, rows))

    _, answers = tf.while_loop(
        lambda index, _: index < n_chunks,
        chunk,
        [
            tf.constant(0),
            tf.TensorArray(tf.float64, size=n_chunks, infer_shape=False, element_shape=[None]),
        ],
        parallel_iterations=1,
    )
    return answers.concat()[:n_rows]


def _sum_chunk(trees: SmallTrees, by_column: Any) -> Any:
    """Return float64 (rows,) of int32 (columns, rows), rows a multiple of WORD."""
    tf = tensorflow()
    n_trees = len(trees.value)
    n_rows = tf.shape(by_column)[1]
    n_words = n_rows // WORD
    right = _answer_questions(trees, by_column)

    # Which rows reach the nodes of each level, a bit per row, int64 (nodes, words).
    reached = [tf.fill([n_trees, n_words], tf.constant(-1, tf.int64))]
    for level in trees.levels:
        parents = tf.gather(reached[-1], level.splits)
        to_right = tf.bitwise.bitwise_and(parents, tf.gather(right, level.questions))
        reached.append(tf.concat([tf.bitwise.bitwise_xor(parents, to_right), to_right], axis=0))
    # The row of zeros is what -1, "no leaf", points at.
    every = tf.concat([*reached, tf.zeros([1, n_words], tf.int64)], axis=0)
    none = sum(2 * len(level.splits) for level in trees.levels) + n_trees

    # The number of the leaf that each row reaches, a byte per row, bit by bit: (trees, rows).
    codes = tf.zeros([n_trees, n_rows // 8], tf.int64)
    for bit, leaves in enumerate(trees.coded):
        # A row reaches one leaf of a tree, so that adding is or-ing.
        has_bit = tf.reduce_sum(tf.gather(every, np.where(leaves < 0, none, leaves)), axis=1)
        eights = tf.cast(tf.reshape(tf.bitcast(has_bit, tf.uint8), [n_trees, -1]), tf.int32)
        codes += tf.gather(tf.constant(_SPREAD_TABLE << bit), eights)
    code = tf.cast(tf.reshape(tf.bitcast(codes, tf.uint8), [n_trees, n_rows]), tf.int32)
    start = trees.value.shape[1] * np.arange(n_trees, dtype=np.int32)[:, np.newaxis]
    return tf.reduce_sum(tf.gather(tf.constant(trees.value.reshape(-1)), start + code), axis=0)


def _answer_questions(trees: SmallTrees, by_column: Any) -> Any:
    """Return whether a row goes right, a bit per row, int64 (questions, words).

    `by_column`: int32 (columns, rows), rows a multiple of WORD.
    """
    tf = tensorflow()
    n_rows = tf.shape(by_column)[1]
    goes_right = tf.gather(by_column, trees.column) > trees.rank[:, np.newaxis]
    # Eight bytes of zero or one, as one number, times GATHER: its highest byte holds them as bits.
    eights = tf.bitcast(
        tf.reshape(tf.cast(goes_right, tf.uint8), [len(trees.column), n_rows // 8, 8]), tf.int64
    )
    packed = tf.bitcast(eights * tf.constant(GATHER, tf.int64), tf.uint8)[:, :, 7]
    return tf.bitcast(tf.reshape(packed, [len(trees.column), n_rows // WORD, 8]), tf.int64)


def _build_spread_table() -> I64:
    """Return, per byte, its bits as the lowest bits of an integer's eight bytes, (256,)."""
    bits = (np.arange(256)[:, np.newaxis] >> np.arange(8)) & 1
    return np.ascontiguousarray(bits.astype(np.uint8)).view("<i8").reshape(-1).astype(np.int64)


_SPREAD_TABLE = _build_spread_table()
