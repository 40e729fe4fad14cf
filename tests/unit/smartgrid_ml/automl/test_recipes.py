import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightgbm import LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
)
from sklearn.feature_selection import SelectPercentile, f_classif, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from xgboost import XGBRegressor

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.recipes import build_estimator, flatten_recipe, to_recipe

share = st.floats(0.01, 1.0)
whole = st.integers(1, 500)

prepared = st.one_of(
    st.builds(StandardScaler),
    st.builds(MinMaxScaler, clip=st.booleans()),
    st.builds(SimpleImputer, strategy=st.sampled_from(["mean", "median"])),
    st.builds(SelectPercentile, st.just(f_regression), percentile=st.integers(1, 100)),
)
single = st.one_of(
    st.builds(Ridge, alpha=share),
    st.builds(ElasticNet, alpha=share, l1_ratio=share),
    st.builds(RandomForestRegressor, n_estimators=whole, max_features=share),
    st.builds(ExtraTreesRegressor, max_leaf_nodes=st.none() | st.integers(2, 99)),
    st.builds(HistGradientBoostingRegressor, max_iter=whole, early_stopping=st.booleans()),
    st.builds(LGBMRegressor, n_estimators=whole, colsample_bytree=share, verbosity=st.just(-1)),
    st.builds(XGBRegressor, n_estimators=whole, max_depth=st.none() | st.integers(1, 9)),
)
pipelines = st.builds(
    lambda steps, last: make_pipeline(*steps, last), st.lists(prepared, max_size=3), single
)
stacks = st.builds(
    lambda parts, last, through: StackingRegressor(
        [(f"part{place}", part) for place, part in enumerate(parts)], last, passthrough=through
    ),
    st.lists(single | pipelines, min_size=1, max_size=3),
    single | pipelines,
    st.booleans(),
)


@given(st.one_of(single, pipelines, stacks), st.integers(0, 9))
def test_a_recipe_rebuilds_the_estimator_that_it_was_written_of(estimator: Any, seed: int):
    recipe = to_recipe(estimator)
    written = json.loads(json.dumps(recipe))

    rebuilt = build_estimator(written, seed=seed, threads=1)

    assert type(rebuilt) is type(estimator)
    assert to_recipe(rebuilt) == written == recipe
    assert {
        value
        for name, value in rebuilt.get_params(deep=True).items()
        if name.rsplit("__", 1)[-1] == "random_state"
    } <= {seed}


def test_a_recipe_is_what_differs_from_the_defaults():
    assert to_recipe(make_pipeline(SimpleImputer(), Ridge(alpha=3.0))) == {
        "class": "sklearn.pipeline.Pipeline",
        "parameters": {
            "steps": [
                ["simpleimputer", {"class": "sklearn.impute.SimpleImputer", "parameters": {}}],
                ["ridge", {"class": "sklearn.linear_model.Ridge", "parameters": {"alpha": 3.0}}],
            ]
        },
    }


def test_features_chosen_by_place_are_part_of_a_recipe():
    chosen = ColumnTransformer([("known", "passthrough", [0, 2]), ("rest", StandardScaler(), [1])])
    recipe = to_recipe(make_pipeline(chosen, Ridge()))

    assert to_recipe(build_estimator(json.loads(json.dumps(recipe)), seed=1, threads=1)) == recipe
    assert recipe["parameters"]["steps"][0][1]["parameters"]["transformers"][0] == [
        "known",
        "passthrough",
        [0, 2],
    ]


def test_a_tracker_is_shown_names_and_values():
    stack = StackingRegressor(
        [("line", make_pipeline(SimpleImputer(), Ridge(alpha=3.0)))], Ridge(), passthrough=True
    )

    assert flatten_recipe(to_recipe(stack)) == {
        "model": "StackingRegressor(SimpleImputer > Ridge, Ridge)",
        "line.ridge.alpha": 3.0,
        "passthrough": True,
    }


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (KNeighborsRegressor(), "KNeighborsRegressor"),
        (make_pipeline(StandardScaler(), KNeighborsRegressor()), "KNeighborsRegressor"),
        (make_pipeline(SelectPercentile(f_classif), Ridge()), None),
        (RandomForestRegressor(criterion=print), "criterion is a builtin"),
    ],
    ids=str,
)
def test_what_has_no_place_in_a_recipe_is_refused_by_name(estimator: Any, named: str | None):
    if named is None:
        # The default needs no word; it is what the class takes when it is told nothing.
        assert "function" not in json.dumps(to_recipe(estimator))
    else:
        with pytest.raises(SmartGridError, match=named):
            to_recipe(estimator)


def test_a_recipe_written_by_hand_builds_nothing_else():
    with pytest.raises(SmartGridError, match=r"os\.system cannot be exported"):
        build_estimator({"class": "os.system", "parameters": {}}, seed=1, threads=1)
    with pytest.raises(SmartGridError, match=r"os\.system is no function"):
        build_estimator(
            {
                "class": "sklearn.feature_selection.SelectPercentile",
                "parameters": {"score_func": {"function": "os.system"}},
            },
            seed=1,
            threads=1,
        )
