"""Small trained models of every kind that can be exported, and rows that try them hard."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    VarianceThreshold,
    f_regression,
)
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    HuberRegressor,
    Lasso,
    LassoCV,
    LassoLars,
    LassoLarsCV,
    LinearRegression,
    Ridge,
    RidgeCV,
    SGDRegressor,
)
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVR
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

N_FEATURES = 6
CATEGORY = 4
"""This feature holds whole numbers from 0 to 11."""

EXTREMES = (1e30, -1e30, 0.0, -0.0, 1e-40, -1e-40, 5e-45, 1e6, -1e6)
UNSEEN = (-1.0, -0.5, 0.5, 3.7, 12.0, 99.0, 400.0)
"""Of the category."""


def training_rows(*, missing: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    rows = random.normal(size=(1200, N_FEATURES)) * [1, 1, 50, 1e-3, 1, 1]
    rows[:, CATEGORY] = random.integers(0, 12, len(rows))
    rows[:, 5] = np.round(rows[:, 5])
    target = (
        10 * rows[:, 0] + rows[:, 1] * rows[:, 2] + np.sin(rows[:, CATEGORY] * 5) * 20 + rows[:, 5]
    )
    if missing:
        target += 30 * (random.random(len(rows)) < 0.2)
        rows[random.random(rows.shape) < 0.1] = np.nan
    return rows, target


def hard_rows(model: Any, *, missing: bool, n: int = 10_000) -> np.ndarray:
    """Ordinary numbers, neighbours of thresholds, extremes, unseen categories, the unknown."""
    random = np.random.default_rng(8)
    trained, _ = training_rows(missing=False)
    rows = trained[random.integers(0, len(trained), n)]
    rows[: n // 4] *= 1 + random.normal(size=(n // 4, N_FEATURES)) / 10
    near = random.random(rows.shape) < 0.3
    rows[near] = random.choice(neighbours(thresholds(model, trained)), size=int(near.sum()))
    for odd, share in ((EXTREMES, 0.04), ((np.nan,), 0.08 * missing)):
        at = random.random(rows.shape) < share
        rows[at] = random.choice(odd, size=int(at.sum()))
    odd_category = random.random(n) < 0.15
    rows[odd_category, CATEGORY] = random.choice(UNSEEN, size=int(odd_category.sum()))
    return rows


def neighbours(numbers: np.ndarray) -> np.ndarray:
    """The numbers, and those next to them in float32 and in float64."""
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    around = [numbers, single]
    for end in (-np.inf, np.inf):
        around += [np.nextafter(numbers, end), np.nextafter(single, np.float32(end))]
    # Half way between two float32 is where rounding decides.
    around.append((single.astype(np.float64) + around[-1].astype(np.float64)) / 2)
    every = np.concatenate([one.astype(np.float64) for one in around])
    # TensorFlow takes denormal float64 for zero; nobody can send one, inputs are float32.
    is_denormal = (every != 0) & (np.abs(every) < np.finfo(np.float64).tiny)
    return every[np.isfinite(every) & (np.abs(every) < 1e38) & ~is_denormal]


def thresholds(model: Any, trained: np.ndarray) -> np.ndarray:
    """Those of the model's trees, or what it was trained on if it has none."""
    found = [trained.ravel()[:500]]
    waiting = [model]
    while waiting:
        one = waiting.pop()
        if hasattr(one, "tree_"):
            found.append(one.tree_.threshold)
        elif hasattr(one, "_predictors"):
            found += [stage[0].nodes["num_threshold"] for stage in one._predictors]
        elif type(one).__module__.startswith(("lightgbm", "xgboost")):
            found.append(_written_thresholds(one))
        elif hasattr(one, "steps"):
            waiting.append(one.steps[-1][1])
        elif hasattr(one, "estimators_"):
            held = one.estimators_
            waiting += held.ravel().tolist() if isinstance(held, np.ndarray) else held
    return np.unique(np.concatenate(found))


def _written_thresholds(model: Any) -> np.ndarray:
    booster = getattr(model, "booster_", None) or (
        model.get_booster() if hasattr(model, "get_booster") else model
    )
    try:
        frame = booster.trees_to_dataframe()
    except ValueError:  # gblinear has no trees
        return np.zeros(1)
    column = "threshold" if "threshold" in frame else "Split"
    numbers = frame[column].apply(lambda one: one if isinstance(one, float) else np.nan)
    return numbers.dropna().to_numpy(np.float64)


def _after_imputer(model: Any) -> Any:
    return make_pipeline(SimpleImputer(strategy="median"), model)


def _boosted(**settings: Any) -> Any:
    import lightgbm as lgb

    common = {"n_estimators": 30, "num_leaves": 15, "verbosity": -1, "n_jobs": 1}
    return lgb.LGBMRegressor(**{**common, **settings})


def _extreme(**settings: Any) -> Any:
    import xgboost as xgb

    return xgb.XGBRegressor(**{"n_estimators": 30, "max_depth": 5, "n_jobs": 1, **settings})


def _forest(kind: Any, **settings: Any) -> Any:
    return kind(**{"n_estimators": 10, "random_state": 1, **settings})


_NUMBERS = [0, 1, 2, 3, 5]

KNOWN_ONLY: Mapping[str, Callable[[], Any]] = {
    "linear": LinearRegression,
    "ridge": Ridge,
    "ridge cv": RidgeCV,
    "lasso": lambda: Lasso(alpha=0.5),
    "lasso cv": LassoCV,
    "lasso lars": lambda: LassoLars(alpha=0.01),
    "lasso lars cv": LassoLarsCV,
    "elastic net": ElasticNet,
    "elastic net cv": ElasticNetCV,
    "bayesian ridge": BayesianRidge,
    "sgd": lambda: make_pipeline(StandardScaler(), SGDRegressor(random_state=1)),
    "huber": lambda: make_pipeline(StandardScaler(), HuberRegressor(max_iter=500)),
    "linear svr": lambda: make_pipeline(StandardScaler(), LinearSVR(random_state=1, tol=1e-2)),
    "gradient boosting": lambda: GradientBoostingRegressor(n_estimators=20, random_state=1),
    "gradient boosting from zero": lambda: GradientBoostingRegressor(
        n_estimators=10, init="zero", loss="absolute_error", random_state=1
    ),
    "gradient boosting from a line": lambda: GradientBoostingRegressor(
        n_estimators=10, init=Ridge(), random_state=1
    ),
    "scaled forest": lambda: make_pipeline(StandardScaler(), _forest(RandomForestRegressor)),
    "min max, clipped": lambda: make_pipeline(MinMaxScaler(clip=True), Ridge()),
    "max abs": lambda: make_pipeline(MaxAbsScaler(), Ridge()),
    "robust": lambda: make_pipeline(RobustScaler(), Ridge()),
    **{
        f"normalizer {norm}": lambda norm=norm: make_pipeline(Normalizer(norm), Ridge())
        for norm in ("l1", "l2", "max")
    },
    "binarizer": lambda: make_pipeline(Binarizer(), Ridge()),
    "pca": lambda: make_pipeline(StandardScaler(), PCA(3), Ridge()),
    "pca, whitened": lambda: make_pipeline(PCA(3, whiten=True, random_state=1), Ridge()),
    "polynomial": lambda: make_pipeline(MinMaxScaler(clip=True), PolynomialFeatures(3), Ridge()),
    "interactions": lambda: make_pipeline(
        PolynomialFeatures(2, interaction_only=True, include_bias=False), Ridge()
    ),
    "k best": lambda: make_pipeline(SelectKBest(f_regression, k=3), Ridge()),
    "percentile": lambda: make_pipeline(SelectPercentile(f_regression, percentile=50), Ridge()),
    "family-wise": lambda: make_pipeline(SelectFwe(f_regression, alpha=0.5), Ridge()),
    "variance": lambda: make_pipeline(VarianceThreshold(0.01), Ridge()),
    "select from model": lambda: make_pipeline(
        SelectFromModel(ExtraTreesRegressor(5, random_state=1)), Ridge()
    ),
    "rfe": lambda: make_pipeline(RFE(Ridge(), n_features_to_select=3), Ridge()),
    "one hot": lambda: make_pipeline(
        ColumnTransformer(
            [("category", OneHotEncoder(handle_unknown="ignore", drop="first"), [CATEGORY])],
            remainder="passthrough",
        ),
        Ridge(),
    ),
    "column transformer": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("scaled", make_pipeline(StandardScaler(), PCA(2)), [0, 1, 2]),
                ("kept", "passthrough", [5]),
                ("left out", "drop", [3]),
            ],
            remainder=MinMaxScaler(),
            transformer_weights={"scaled": 2.0},
        ),
        Ridge(),
    ),
    "union": lambda: make_pipeline(
        FeatureUnion(
            [
                ("as it is", "passthrough"),
                ("selected", SelectKBest(f_regression, k=2)),
                ("identity", FunctionTransformer()),
                ("none", "drop"),
            ],
            transformer_weights={"selected": 3.0},
        ),
        Ridge(),
    ),
    "network": lambda: make_pipeline(
        MinMaxScaler(clip=True),
        MLPRegressor(hidden_layer_sizes=(8, 4), max_iter=3000, random_state=1, tol=0.5),
    ),
    "stacking": lambda: StackingRegressor(
        [("line", Ridge()), ("tree", DecisionTreeRegressor(max_depth=4, random_state=1))],
        final_estimator=Ridge(),
        cv=2,
    ),
    "ada boost": lambda: AdaBoostRegressor(n_estimators=9, random_state=1),
    "bagging": lambda: BaggingRegressor(Ridge(), n_estimators=5, max_features=0.6, random_state=1),
    "transformed target": lambda: TransformedTargetRegressor(Ridge(), transformer=MinMaxScaler()),
    "target by a function": lambda: TransformedTargetRegressor(
        make_pipeline(MinMaxScaler(clip=True), Ridge()),
        func=np.log,
        inverse_func=np.exp,
        check_inverse=False,
    ),
}

WITH_MISSING: Mapping[str, Callable[[], Any]] = {
    "imputer, mean": lambda: make_pipeline(SimpleImputer(), Ridge()),
    "imputer, constant": lambda: make_pipeline(
        SimpleImputer(strategy="constant", fill_value=-1.0, add_indicator=True), Ridge()
    ),
    "imputer, indicators": lambda: make_pipeline(
        SimpleImputer(strategy="most_frequent", add_indicator=True), Ridge()
    ),
    "union of imputer and indicators": lambda: make_pipeline(
        make_union(SimpleImputer(), MissingIndicator(error_on_new=False)), Ridge()
    ),
    "scaler before imputer": lambda: make_pipeline(
        StandardScaler(), MinMaxScaler(clip=True), SimpleImputer(), Ridge()
    ),
    "nested pipelines": lambda: make_pipeline(
        make_pipeline(RobustScaler(), SimpleImputer()), make_pipeline(PCA(4), Ridge())
    ),
    "ordinal": lambda: make_pipeline(
        ColumnTransformer(
            [
                (
                    "category",
                    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                    [CATEGORY],
                )
            ],
            remainder="passthrough",
        ),
        HistGradientBoostingRegressor(max_iter=10),
    ),
    "one hot of the unknown": lambda: make_pipeline(
        ColumnTransformer(
            [("category", OneHotEncoder(handle_unknown="ignore"), [CATEGORY])],
            remainder=SimpleImputer(),
        ),
        Ridge(),
    ),
    "tree": lambda: DecisionTreeRegressor(max_depth=9, random_state=1),
    "extra tree": lambda: ExtraTreeRegressor(max_depth=9, random_state=1),
    "stump": lambda: DecisionTreeRegressor(max_depth=1),
    "no split": lambda: DecisionTreeRegressor(min_samples_leaf=1000),
    "forest": lambda: _forest(RandomForestRegressor),
    "extra trees": lambda: _forest(ExtraTreesRegressor),
    "histogram boosting": lambda: HistGradientBoostingRegressor(max_iter=30),
    "histogram boosting, median": lambda: HistGradientBoostingRegressor(
        max_iter=20, loss="absolute_error", early_stopping=True, random_state=1
    ),
    "histogram boosting, gamma": lambda: HistGradientBoostingRegressor(max_iter=10, loss="gamma"),
    "histogram boosting, categories": lambda: HistGradientBoostingRegressor(
        max_iter=30, categorical_features=[CATEGORY, 5]
    ),
    "lightgbm": _boosted,
    "lightgbm, median": lambda: _boosted(objective="mae"),
    "lightgbm, zero is missing": lambda: _boosted(zero_as_missing=True),
    "lightgbm, dart": lambda: _boosted(boosting_type="dart"),
    "lightgbm, linear after": lambda: make_pipeline(StandardScaler(), _boosted()),
    "xgboost": _extreme,
    "xgboost, exact": lambda: _extreme(tree_method="exact"),
    "xgboost, median": lambda: _extreme(objective="reg:absoluteerror"),
    "xgboost, dart": lambda: _extreme(booster="dart", rate_drop=0.3),
    "xgboost, forest": lambda: _extreme(
        n_estimators=2, num_parallel_tree=5, subsample=0.7, base_score=3.0
    ),
    "xgboost, zero is missing": lambda: _after_imputer(_extreme(missing=0.0)),
    "xgboost, linear": lambda: make_pipeline(
        MinMaxScaler(clip=True), _extreme(booster="gblinear", max_depth=None)
    ),
    "xgboost, categories": lambda: _extreme(
        enable_categorical=True,
        feature_types=["q", "q", "q", "q", "c", "q"],
        max_cat_to_onehot=3,
    ),
    "stacking with passthrough": lambda: StackingRegressor(
        [
            ("boosted", _boosted(n_estimators=5)),
            ("line", _after_imputer(Ridge())),
            ("left out", "drop"),
        ],
        final_estimator=HistGradientBoostingRegressor(max_iter=10),
        passthrough=True,
        cv=2,
    ),
    "stacking of stacking": lambda: StackingRegressor(
        [
            (
                "inner",
                StackingRegressor(
                    [("line", _after_imputer(Ridge())), ("boosted", _boosted(n_estimators=5))],
                    final_estimator=Ridge(),
                    cv=2,
                ),
            ),
            ("hist", HistGradientBoostingRegressor(max_iter=5)),
        ],
        cv=2,
    ),
    "voting": lambda: VotingRegressor(
        [
            ("line", _after_imputer(Ridge())),
            ("trees", _extreme(n_estimators=5)),
            ("boosted", _boosted(n_estimators=5)),
        ],
        weights=[1, 2, 3],
    ),
}
