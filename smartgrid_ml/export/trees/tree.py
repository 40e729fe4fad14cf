"""One tree as flat arrays, the form into which the readers of all libraries bring theirs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartgrid_core.arrays import F64, I64

WORD_BITS = 32
"""Categories per word of the bitsets in which LightGBM and scikit-learn keep them."""


@dataclass(frozen=True, slots=True)
class Categories:
    """A split by category; the category is the whole part of the feature's number.

    Missing values go where the node sends missing values.
    """

    members: frozenset[int]
    """The categories of one side; all other known numbers go to the other side."""
    members_left: bool = True
    """Whether the members go left."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of `build_tree`: arrays of one entry per node, every right child after its sibling.

    `feature`, `view`, `left` are int64 (n_nodes,), `threshold`, `value` float64 (n_nodes,).
    """

    feature: I64
    """The feature that the node compares; 0 at a leaf."""
    threshold: F64
    """Numbers up to this go left; NaN at a leaf and at a split by category."""
    view: I64
    """How missing values are taken, 0 to 3: `TreeEnsemble` explains the views."""
    left: I64
    """The left child; a leaf is its own left child."""
    value: F64
    """What a leaf adds to the sum; 0 at a split."""
    categories: Mapping[int, Categories]
    """The splits by category, by node."""
    depth: int
    """Steps from the root to the deepest leaf."""


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
    """Return one tree made of arrays of one entry per node, the root first.

    Args:
        feature: int (n_nodes,), the column of the inputs that a split compares.
        threshold: float (n_nodes,); a number goes left if it is `<= threshold`. For a library that
            asks `<` give `lower_thresholds(threshold)`; +inf sends all known numbers left.
        left: int (n_nodes,), place of the left child, negative at a leaf.
        right: int (n_nodes,), place of the right child, negative at a leaf.
        value: float (n_nodes,), what a leaf adds to the sum; ignored at splits.
        missing_left: bool (n_nodes,) or one for all; whether NaN goes left.
        zero_is_missing: bool (n_nodes,) or one for all; whether zeros go where NaN goes.
        categories: the nodes that split by category; their thresholds are ignored.

    Returns:
        The tree, its nodes level by level.

    Raises:
        ValueError: If a node has two parents, or the threshold of a split is NaN.
    """
    left, right = np.asarray(left, np.int64), np.asarray(right, np.int64)
    n_nodes = len(left)
    feature = np.asarray(feature, np.int64)
    threshold = np.asarray(threshold, np.float64)
    value = np.asarray(value, np.float64)
    is_left = np.broadcast_to(np.asarray(missing_left, bool), n_nodes)
    is_zero = np.broadcast_to(np.asarray(zero_is_missing, bool), n_nodes)
    categories = categories or {}

    places, child_place, depth = _order_by_level(left, right)
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


def _order_by_level(left: I64, right: I64) -> tuple[I64, I64, int]:
    """Return the nodes level by level, each node's place in that order, and the depth.

    Raises ValueError if a node has two parents.
    """
    n_nodes = len(left)
    order, depth, level = [0], 0, [0]
    place = np.zeros(n_nodes, np.int64)
    while level := [child for at in level if left[at] >= 0 for child in (left[at], right[at])]:
        place[level] = len(order) + np.arange(len(level))
        order += level
        depth += 1
        if len(order) > n_nodes:
            raise ValueError(f"a tree of {n_nodes} nodes has a node with two parents")
    return np.array(order), place, depth


def lower_thresholds(threshold: npt.ArrayLike) -> F64:
    """Return the thresholds that part numbers by `<=` as the ones given do by `<`.

    Among numbers of the thresholds' own type: give float32 where float32 are compared. Below zero
    none is so near to it that TensorFlow takes it for zero.

    >>> lower_thresholds([1.0, 0.0]).tolist()
    [0.9999999999999999, -2.2250738585072014e-308]
    """
    thresholds = np.asarray(threshold)
    below = np.nextafter(thresholds, thresholds.dtype.type(-np.inf)).astype(np.float64)
    least = np.finfo(np.float64).tiny
    return np.where((below < 0) & (below > -least), -least, below)


def unpack_bitset(words: I64) -> frozenset[int]:
    """Return the places of the bits that are set in words of 32 bits, the lowest bit first.

    >>> sorted(unpack_bitset(np.array([5, 1])))
    [0, 2, 32]
    """
    bits = (words[:, np.newaxis] >> np.arange(WORD_BITS)) & 1
    return frozenset(np.flatnonzero(bits.reshape(-1)).tolist())
