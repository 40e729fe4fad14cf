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
    """What each of them asks."""


@dataclass(frozen=True, slots=True)
class SmallTrees:
    """An ensemble by levels; nodes of all levels are counted through, the roots first."""

    column: Places
    rank: Places
    """(questions,): a row goes right if `columns[column] > rank`."""
    levels: Sequence[Level]
    coded: Sequence[Places]
    """Per bit of a leaf's number, (trees, most): the leaves with that bit; -1 for none."""
    value: npt.NDArray[np.float64]
    """(trees, leaves)"""


def build_small_trees(
    *,
    roots: npt.NDArray[Any],
    column: npt.NDArray[Any],
    rank: npt.NDArray[Any],
    left: npt.NDArray[Any],
    value: npt.NDArray[np.float64],
) -> SmallTrees | None:
    """Nodes of all trees by levels; None if the trees are too large for it.

    A leaf is its own `left`; the right child of any other follows the left one.
    """
    nodes = np.arange(len(left))
    is_split = left != nodes
    asked, question = np.unique(
        np.stack([column, rank], axis=1)[is_split], axis=0, return_inverse=True
    )
    question_of = np.zeros(len(left), np.int32)
    question_of[is_split] = question
    if len(asked) > MOST_QUESTIONS:
        return None

    here, tree, before = roots, np.arange(len(roots)), 0
    levels: list[Level] = []
    leaves: list[npt.NDArray[Any]] = []
    while True:
        at = np.flatnonzero(~is_split[here])
        leaves.append(np.stack([tree[at], before + at, here[at]], axis=1))
        splits = np.flatnonzero(is_split[here])
        if not len(splits):
            break
        parents = here[splits]
        levels.append(Level(splits.astype(np.int32), question_of[parents]))
        before += len(here)
        tree = np.concatenate([tree[splits]] * 2)
        here = np.concatenate([left[parents], left[parents] + 1])

    found = np.concatenate(leaves)
    found = found[np.argsort(found[:, 0], kind="stable")]
    counts = np.bincount(found[:, 0], minlength=len(roots))
    if counts.max() > MOST_LEAVES:
        return None
    code = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
    values = np.zeros((len(roots), int(counts.max())))
    values[found[:, 0], code] = value[found[:, 2]]
    bits = range(int(counts.max() - 1).bit_length())
    return SmallTrees(
        column=asked[:, 0].astype(np.int32),
        rank=asked[:, 1].astype(np.int32),
        levels=levels,
        coded=[_group_by_tree(found[(code >> bit) & 1 == 1], trees=len(roots)) for bit in bits],
        value=values,
    )


def _group_by_tree(found: npt.NDArray[Any], *, trees: int) -> Places:
    """Places of leaves, a row per tree, filled up with -1."""
    counts = np.bincount(found[:, 0], minlength=trees)
    rows = np.full((trees, max(1, int(counts.max()))), -1, np.int32)
    rows[found[:, 0], np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)] = (
        found[:, 1]
    )
    return rows


def sum_small_trees(trees: SmallTrees, columns: Any) -> Any:
    """The sum of one leaf per tree, float64 (batch,), of int32 (batch, columns)."""
    tf = tensorflow()
    n_rows = tf.shape(columns)[0]
    n_whole = -(-n_rows // WORD) * WORD
    by_column = tf.transpose(tf.pad(columns, [[0, n_whole - n_rows], [0, 0]]))
    n_chunks = -(-n_whole // CHUNK)

    def chunk(index: Any, answers: Any) -> tuple[Any, Any]:
        some = by_column[:, index * CHUNK : (index + 1) * CHUNK]
        return index + 1, answers.write(index, _sum_chunk(trees, some))

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
    """float64 (rows,) of int32 (columns, rows), rows a multiple of WORD."""
    tf = tensorflow()
    n_trees = len(trees.value)
    n_rows = tf.shape(by_column)[1]
    n_words = n_rows // WORD
    goes_right = tf.gather(by_column, trees.column) > trees.rank[:, np.newaxis]
    # Eight bytes of zero or one, as one number, times GATHER: its highest byte holds them as bits.
    eights = tf.bitcast(
        tf.reshape(tf.cast(goes_right, tf.uint8), [len(trees.column), n_rows // 8, 8]), tf.int64
    )
    packed = tf.bitcast(eights * tf.constant(GATHER, tf.int64), tf.uint8)[:, :, 7]
    right = tf.bitcast(tf.reshape(packed, [len(trees.column), n_words, 8]), tf.int64)

    reached = [tf.fill([n_trees, n_words], tf.constant(-1, tf.int64))]
    for level in trees.levels:
        parents = tf.gather(reached[-1], level.splits)
        to_right = tf.bitwise.bitwise_and(parents, tf.gather(right, level.questions))
        reached.append(tf.concat([tf.bitwise.bitwise_xor(parents, to_right), to_right], axis=0))
    # The row of zeros is what -1, "no leaf", points at.
    every = tf.concat([*reached, tf.zeros([1, n_words], tf.int64)], axis=0)
    none = sum(2 * len(level.splits) for level in trees.levels) + n_trees

    codes = tf.zeros([n_trees, n_rows // 8], tf.int64)
    for bit, leaves in enumerate(trees.coded):
        # A row reaches one leaf of a tree, so that adding is or-ing.
        has_bit = tf.reduce_sum(tf.gather(every, np.where(leaves < 0, none, leaves)), axis=1)
        eights = tf.cast(tf.reshape(tf.bitcast(has_bit, tf.uint8), [n_trees, -1]), tf.int32)
        codes += tf.gather(tf.constant(_SPREAD_TABLE << bit), eights)
    code = tf.cast(tf.reshape(tf.bitcast(codes, tf.uint8), [n_trees, n_rows]), tf.int32)
    start = trees.value.shape[1] * np.arange(n_trees, dtype=np.int32)[:, np.newaxis]
    return tf.reduce_sum(tf.gather(tf.constant(trees.value.reshape(-1)), start + code), axis=0)


def _build_spread_table() -> npt.NDArray[np.int64]:
    """A byte's bits, the lowest first, as the lowest bits of the eight bytes of an integer."""
    bits = (np.arange(256)[:, np.newaxis] >> np.arange(8)) & 1
    return np.ascontiguousarray(bits.astype(np.uint8)).view("<i8").reshape(-1).astype(np.int64)


_SPREAD_TABLE = _build_spread_table()
