from functools import cache
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.trees.ensemble import build_ensemble_graph
from smartgrid_ml.export.trees.lightgbm import read_lightgbm_trees
from smartgrid_ml.tensorflow_runtime import tensorflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

N_FEATURES = 6
ODD_VALUES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-35, -1e-36, 1e300, 22.5]


def odd_rows(n: int, *, seed: int) -> np.ndarray:
    """Normal numbers with every odd value strewn in."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, N_FEATURES))
    odd = random.random(rows.shape) < 0.25
    rows[odd] = random.choice(ODD_VALUES, size=int(odd.sum()))
    return rows


def grown(trees: int = 40, **parameters: Any) -> lgb.Booster:
    """A booster on data in which a missing value means something."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(3000, N_FEATURES))
    rows[random.random(rows.shape) < 0.15] = np.nan
    rows[random.random(rows.shape) < 0.10] = 0.0
    target = np.nan_to_num(rows[:, 0]) * 2 + np.isnan(rows[:, 1]) + (rows[:, 2] == 0)
    common = {"objective": "quantile", "alpha": 0.9, "num_leaves": 31, "verbosity": -1}
    common |= {"num_threads": 1, "seed": 3, "min_data_in_leaf": 5}
    return lgb.train({**common, **parameters}, lgb.Dataset(rows, target), trees)


def from_graph(booster: lgb.Booster, rows: np.ndarray) -> np.ndarray:
    tf = tensorflow()
    return np.asarray(build_ensemble_graph(read_lightgbm_trees(booster))(tf.constant(rows)))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"objective": "regression_l1"},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"num_leaves": 400, "min_data_in_leaf": 1},
        {"trees": 3},
        {"min_data_in_leaf": 2900},
    ],
    ids=str,
)
def test_the_graph_sums_the_leaves_that_lightgbm_sums(parameters: dict[str, Any]):
    booster = grown(**parameters)
    rows = odd_rows(4000, seed=5)

    np.testing.assert_allclose(
        from_graph(booster, rows), booster.predict(rows), rtol=1e-12, atol=1e-12
    )


def test_training_that_stopped_early_is_exported_up_to_its_best_iteration():
    booster = grown(trees=30)
    booster.best_iteration = 7
    rows = odd_rows(500, seed=6)

    np.testing.assert_allclose(from_graph(booster, rows), booster.predict(rows), rtol=1e-12)
    assert not np.allclose(booster.predict(rows), booster.predict(rows, num_iteration=30))


@cache
def booster_of_20_trees() -> lgb.Booster:
    return grown(trees=20)


@given(
    st.lists(
        st.lists(
            st.one_of(st.floats(), st.sampled_from(ODD_VALUES)),
            min_size=N_FEATURES,
            max_size=N_FEATURES,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_float_at_all_takes_the_same_way_through_the_trees(values: list[list[float]]):
    rows, booster = np.array(values, dtype=np.float64), booster_of_20_trees()

    np.testing.assert_allclose(from_graph(booster, rows), booster.predict(rows), rtol=1e-12)


def test_categories_go_where_lightgbm_sends_them():
    random = np.random.default_rng(1)
    rows = random.normal(size=(4000, N_FEATURES))
    rows[:, 3] = random.integers(0, 70, len(rows))
    rows[:, 4] = random.integers(0, 3, len(rows))
    target = rows[:, 0] + np.sin(rows[:, 3] * 9) + rows[:, 4] % 2
    rows[random.random(rows.shape) < 0.05] = np.nan
    parameters = {"objective": "regression", "verbosity": -1, "num_threads": 1}
    booster = lgb.train(parameters, lgb.Dataset(rows, target, categorical_feature=[3, 4]), 30)
    asked = odd_rows(5000, seed=2)
    asked[:, 3] = random.choice([*range(80), -1, -0.5, 0.5, 2.9, 1e9, 1e30, np.nan], len(asked))
    asked[:, 4] = random.choice([*range(5), -7, 1.5, np.inf, np.nan], len(asked))

    assert "cat_threshold" in booster.model_to_string()
    np.testing.assert_allclose(from_graph(booster, asked), booster.predict(asked), rtol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"objective": "poisson"}, "poisson"),
        ({"objective": "regression", "reg_sqrt": True}, "sqrt"),
        ({"objective": "regression", "linear_tree": True}, "linear"),
    ],
)
def test_what_is_no_bare_sum_of_trees_is_refused_by_name(parameters: dict[str, Any], named: str):
    random = np.random.default_rng(1)
    rows = random.normal(size=(2000, N_FEATURES))
    target = 1 + np.abs(rows[:, 0])
    parameters = {"objective": "quantile", "verbosity": -1, "num_threads": 1, **parameters}
    booster = lgb.train(parameters, lgb.Dataset(rows, target), 5)

    with pytest.raises(PublicationError, match=named):
        read_lightgbm_trees(booster)
