"""Trees of LightGBM, read from the text that it writes of a model."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.export.trees.ensemble import TreeEnsemble, build_ensemble_graph, combine_trees
from smartgrid_ml.export.trees.tree import Categories, Tree, build_tree, unpack_bitset

CATEGORICAL, DEFAULT_LEFT, MISSING_TYPE = 0b0001, 0b0010, 0b1100
MISSING_IS_ZERO = 0b0100
"""Bits of a `decision_type`."""

PLAIN_SUMS = ("regression", "regression_l1", "quantile", "huber", "fair", "mape")
"""Objectives whose prediction is the bare sum of leaves, with no link function behind it."""


def read_lightgbm_trees(booster: Any) -> TreeEnsemble:
    """Return the trees of `booster.predict`: up to the best iteration if training stopped early.

    Raises PublicationError for a prediction that is no bare sum of plain trees.
    """
    header, *sections = booster.model_to_string().split("\n\nend of trees")[0].split("\nTree=")
    named = dict(_iter_assignments(header))
    objective = named.get("objective", "").split(" ")[0]
    if objective not in PLAIN_SUMS or "sqrt" in named["objective"]:
        raise PublicationError(
            f"LightGBM: objective {named.get('objective')!r} cannot be exported: its link function"
            f" is not known here; use one of {', '.join(PLAIN_SUMS)}"
        )
    if named["num_tree_per_iteration"] != "1":
        raise PublicationError(
            "LightGBM: an ensemble of several outputs cannot be exported: train one each"
        )
    trees = [_read_tree(dict(_iter_assignments(section))) for section in sections]
    averaged = "average_output" in header.splitlines()
    return combine_trees(trees, scale=1.0 / max(len(trees), 1) if averaged else 1.0)


def build_booster_graph(booster: Any) -> Graph:
    """Return a booster's prediction; raises PublicationError as `read_lightgbm_trees`."""
    return build_ensemble_graph(read_lightgbm_trees(booster))


def build_regressor_graph(model: Any) -> Graph:
    """Return the prediction of its booster; raises PublicationError as `read_lightgbm_trees`."""
    return build_booster_graph(model.booster_)


def _iter_assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of every line `name=value`."""
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign:
            yield name, value


def _read_tree(named: dict[str, str]) -> Tree:
    """Return the tree of a section's assignments. Raises PublicationError for a linear tree."""
    if named.get("is_linear", "0") != "0":
        raise PublicationError(
            "LightGBM: linear trees cannot be exported: train with linear_tree=false"
        )
    n_splits = int(named["num_leaves"]) - 1
    feature, left, right, decision = (
        _parse_numbers(named.get(name, ""), np.int64)
        for name in ("split_feature", "left_child", "right_child", "decision_type")
    )
    cut = _parse_numbers(named.get("threshold", ""), np.float64)
    # LightGBM counts splits and leaves apart, leaf k is child ~k; here leaves follow the splits.
    leaf = np.full(n_splits + 1, -1)
    missing = decision & MISSING_TYPE
    by_category = (decision & CATEGORICAL) != 0
    # Without a missing type NaN counts as zero; among categories it is in no set.
    missing_left = np.where(missing == 0, cut >= 0, (decision & DEFAULT_LEFT) != 0) & ~by_category
    return build_tree(
        feature=np.concatenate([feature, leaf]),
        threshold=np.concatenate([cut, leaf]),
        left=np.concatenate([np.where(left >= 0, left, n_splits + ~left), leaf]),
        right=np.concatenate([np.where(right >= 0, right, n_splits + ~right), leaf]),
        value=np.concatenate([np.zeros(n_splits), _parse_numbers(named["leaf_value"], np.float64)]),
        missing_left=np.concatenate([missing_left, leaf > 0]),
        zero_is_missing=np.concatenate([(missing == MISSING_IS_ZERO) & ~by_category, leaf > 0]),
        categories=_read_category_splits(named, by_category=by_category, cut=cut),
    )


def _read_category_splits(
    named: dict[str, str],
    *,
    by_category: npt.NDArray[np.bool_],
    cut: npt.NDArray[np.float64],
) -> dict[int, Categories]:
    """Return what goes left, per split by category; its threshold says which bitset holds that."""
    if not by_category.any():
        return {}
    bounds = _parse_numbers(named["cat_boundaries"], np.int64)
    words = _parse_numbers(named["cat_threshold"], np.int64)
    return {
        int(node): Categories(unpack_bitset(words[bounds[which] : bounds[which + 1]]))
        for node in np.flatnonzero(by_category)
        for which in [int(cut[node])]
    }


def _parse_numbers(text: str, dtype: Any) -> npt.NDArray[Any]:
    """Return the numbers of a text, separated by blanks."""
    return np.array(text.split(), dtype=dtype)
