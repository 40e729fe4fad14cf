from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor, StackingRegressor
from sklearn.impute import KNNImputer
from sklearn.linear_model import LinearRegression, PoissonRegressor, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.tensorflow_runtime import tensorflow
from tests.unit.smartgrid_ml.export.sklearn import kinds

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

TOLERANCE = 1e-4
"""Relative, absolute below one. Seen: up to 6e-6 of XGBoost, which adds up in float32, 3e-6 of
gradient boosting from a line, whose first guess is float32, and 1e-13 of all others."""


def apart(exported: np.ndarray, offline: np.ndarray) -> float:
    """The largest difference, relative above one and absolute below."""
    return float(np.max(np.abs(exported - offline) / np.maximum(1.0, np.abs(offline))))


def exported(model: Any, rows: np.ndarray) -> np.ndarray:
    tf = tensorflow()
    return np.asarray(tf.function(build_regressor_graph(model), autograph=False)(tf.constant(rows)))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small models on a busy machine wait for each other's threads longer than they compute."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        pytest.param(make, missing, id=name)
        for missing, group in ((False, kinds.KNOWN_ONLY), (True, kinds.WITH_MISSING))
        for name, make in group.items()
    ],
)
# An encoder that drops a category says of every unseen one that it looks like that.
@pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")
def test_the_graph_says_what_the_library_says_on_10000_hard_rows(
    make: Callable[[], Any], missing: bool
):
    rows, target = kinds.training_rows(missing=missing)
    model = make().fit(rows, target - target.min() + 1)
    asked = kinds.hard_rows(model, missing=missing)

    offline = model.predict(asked)

    assert len(asked) == 10_000
    assert np.isnan(asked).any() == missing
    assert np.isfinite(offline).all()
    assert apart(exported(model, asked), offline) <= TOLERANCE


def test_boosters_are_exported_as_their_regressors_are():
    rows, target = kinds.training_rows(missing=True)
    asked = kinds.hard_rows(HistGradientBoostingRegressor(), missing=True, n=500)
    boosted, extreme = kinds._boosted().fit(rows, target), kinds._extreme().fit(rows, target)

    np.testing.assert_array_equal(exported(boosted, asked), exported(boosted.booster_, asked))
    np.testing.assert_array_equal(exported(extreme, asked), exported(extreme.get_booster(), asked))


def test_training_of_xgboost_that_stopped_early_is_exported_up_to_its_best_iteration():
    rows, target = kinds.training_rows(missing=True)
    random = np.random.default_rng(1)
    model = kinds._extreme(n_estimators=60, early_stopping_rounds=10, learning_rate=0.9)
    model.fit(rows, target, eval_set=[(rows, random.permutation(target))], verbose=False)

    assert model.best_iteration < 50
    assert apart(exported(model, rows), model.predict(rows)) <= TOLERANCE
    every = model.get_booster().predict(xgb.DMatrix(rows))
    assert apart(exported(model, rows), every) > TOLERANCE


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (KNeighborsRegressor(), "KNeighborsRegressor; use one of .*RandomForestRegressor"),
        (make_pipeline(StandardScaler(), SVR()), "SVR"),
        (PoissonRegressor(), "PoissonRegressor"),
        (make_pipeline(KNNImputer(), Ridge()), "KNNImputer in it; use one of .*SimpleImputer"),
        (make_pipeline(QuantileTransformer(n_quantiles=9), Ridge()), "QuantileTransformer"),
        (make_pipeline(OneHotEncoder(), Ridge()), "handle_unknown='error'.* use 'ignore'"),
        (make_pipeline(FunctionTransformer(np.sin), Ridge()), "FunctionTransformer of 'sin'"),
        (
            make_pipeline(OneHotEncoder(handle_unknown="ignore", min_frequency=3), Ridge()),
            "infrequent",
        ),
        (
            StackingRegressor([("far", KNeighborsRegressor())], final_estimator=Ridge()),
            "KNeighborsRegressor",
        ),
        (kinds._boosted(objective="gamma"), "gamma"),
        (kinds._extreme(objective="reg:gamma"), "reg:gamma"),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_refused_by_name(model: Any, named: str):
    rows, target = kinds.training_rows(missing=False)
    rows = np.round(rows)
    model.fit(rows, target - target.min() + 1)

    with pytest.raises(PublicationError, match=named):
        build_regressor_graph(model)


@pytest.mark.parametrize("model", [LinearRegression(), RandomForestRegressor(2)], ids=str)
def test_several_outputs_are_refused(model: Any):
    rows, target = kinds.training_rows(missing=False)
    model.fit(rows, np.stack([target, target], axis=1))

    with pytest.raises(PublicationError, match="several outputs"):
        build_regressor_graph(model)


def test_a_library_that_is_not_known_is_told_what_is():
    with pytest.raises(PublicationError, match="from keras, lightgbm, sklearn, xgboost"):
        build_regressor_graph(object())  # type: ignore[arg-type] # what is to be refused
