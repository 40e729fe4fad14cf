"""The one list of what can be exported: classes and the functions that build their graphs.

A search that shall find only what can be served draws from here (see `automl/tpot_space.py`).
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from smartgrid_core.errors import PublicationError

Graph = Callable[[Any], Any]
"""float64 (batch, features), NaN is unknown -> float64 (batch,), of a transformer (batch, n)."""

_LINEAR = "smartgrid_ml.export.sklearn.regressors:build_linear_graph"
_SELECTOR = "smartgrid_ml.export.sklearn.transformers:build_selector_graph"
_TREE = "smartgrid_ml.export.sklearn.trees:build_tree_graph"
_FOREST = "smartgrid_ml.export.sklearn.trees:build_forest_graph"

REGRESSORS: Mapping[str, str] = {
    **{
        f"sklearn.linear_model.{name}": _LINEAR
        for name in (
            "LinearRegression",
            "Ridge",
            "RidgeCV",
            "Lasso",
            "LassoCV",
            "Lars",
            "LarsCV",
            "LassoLars",
            "LassoLarsCV",
            "LassoLarsIC",
            "ElasticNet",
            "ElasticNetCV",
            "OrthogonalMatchingPursuit",
            "BayesianRidge",
            "ARDRegression",
            "SGDRegressor",
            "HuberRegressor",
            "QuantileRegressor",
            "TheilSenRegressor",
        )
    },
    "sklearn.svm.LinearSVR": _LINEAR,
    "sklearn.dummy.DummyRegressor": "smartgrid_ml.export.sklearn.regressors:build_constant_graph",
    "sklearn.neural_network.MLPRegressor": (
        "smartgrid_ml.export.sklearn.regressors:build_network_graph"
    ),
    "sklearn.tree.DecisionTreeRegressor": _TREE,
    "sklearn.tree.ExtraTreeRegressor": _TREE,
    "sklearn.ensemble.RandomForestRegressor": _FOREST,
    "sklearn.ensemble.ExtraTreesRegressor": _FOREST,
    "sklearn.ensemble.GradientBoostingRegressor": (
        "smartgrid_ml.export.sklearn.trees:build_gradient_boosting_graph"
    ),
    "sklearn.ensemble.HistGradientBoostingRegressor": (
        "smartgrid_ml.export.sklearn.hist_boosting:build_hist_boosting_graph"
    ),
    "sklearn.ensemble.AdaBoostRegressor": (
        "smartgrid_ml.export.sklearn.composed:build_adaboost_graph"
    ),
    "sklearn.ensemble.BaggingRegressor": "smartgrid_ml.export.sklearn.composed:build_bagging_graph",
    "sklearn.ensemble.StackingRegressor": (
        "smartgrid_ml.export.sklearn.composed:build_stacking_graph"
    ),
    "sklearn.ensemble.VotingRegressor": "smartgrid_ml.export.sklearn.composed:build_voting_graph",
    "sklearn.compose.TransformedTargetRegressor": (
        "smartgrid_ml.export.sklearn.composed:build_transformed_target_graph"
    ),
    "sklearn.pipeline.Pipeline": "smartgrid_ml.export.sklearn.composed:build_pipeline_graph",
    "lightgbm.sklearn.LGBMRegressor": "smartgrid_ml.export.trees.lightgbm:build_regressor_graph",
    "lightgbm.basic.Booster": "smartgrid_ml.export.trees.lightgbm:build_booster_graph",
    "xgboost.sklearn.XGBRegressor": "smartgrid_ml.export.trees.xgboost:build_regressor_graph",
    "xgboost.sklearn.XGBRFRegressor": "smartgrid_ml.export.trees.xgboost:build_regressor_graph",
    "xgboost.core.Booster": "smartgrid_ml.export.trees.xgboost:build_booster_graph",
    "keras.src.models.functional.Functional": "smartgrid_ml.export.layers:build_keras_model_graph",
    "keras.src.models.sequential.Sequential": "smartgrid_ml.export.layers:build_keras_model_graph",
    "smartgrid_ml.automl.searched_network.SearchedNetwork": (
        "smartgrid_ml.export.layers:build_searched_network_graph"
    ),
    "smartgrid_ml.automl.h2o_model.H2OModel": "smartgrid_ml.export.h2o.graph:build_h2o_graph",
}
"""Class to exporter of models of one number per row; a path leaves private modules out."""

TRANSFORMERS: Mapping[str, str] = {
    **{
        f"sklearn.feature_selection.{name}": _SELECTOR
        for name in (
            "SelectKBest",
            "SelectPercentile",
            "SelectFpr",
            "SelectFdr",
            "SelectFwe",
            "GenericUnivariateSelect",
            "VarianceThreshold",
            "SelectFromModel",
            "SequentialFeatureSelector",
            "RFE",
            "RFECV",
        )
    },
    **{
        f"sklearn.{module}.{name}": f"smartgrid_ml.export.sklearn.transformers:{function}"
        for module, name, function in (
            ("impute", "SimpleImputer", "build_imputer_graph"),
            ("impute", "MissingIndicator", "build_indicator_graph"),
            ("preprocessing", "StandardScaler", "build_standard_scaler_graph"),
            ("preprocessing", "MinMaxScaler", "build_min_max_scaler_graph"),
            ("preprocessing", "MaxAbsScaler", "build_max_abs_scaler_graph"),
            ("preprocessing", "RobustScaler", "build_robust_scaler_graph"),
            ("preprocessing", "Normalizer", "build_normalizer_graph"),
            ("preprocessing", "Binarizer", "build_binarizer_graph"),
            ("preprocessing", "PolynomialFeatures", "build_polynomial_graph"),
            ("preprocessing", "FunctionTransformer", "build_function_graph"),
            ("decomposition", "PCA", "build_pca_graph"),
        )
    },
    "sklearn.preprocessing.OneHotEncoder": (
        "smartgrid_ml.export.sklearn.encoders:build_one_hot_graph"
    ),
    "sklearn.preprocessing.OrdinalEncoder": (
        "smartgrid_ml.export.sklearn.encoders:build_ordinal_graph"
    ),
    "sklearn.pipeline.Pipeline": "smartgrid_ml.export.sklearn.composed:build_steps_graph",
    "sklearn.pipeline.FeatureUnion": "smartgrid_ml.export.sklearn.composed:build_union_graph",
    "sklearn.compose.ColumnTransformer": "smartgrid_ml.export.sklearn.composed:build_columns_graph",
}
"""Class to exporter of fitted transformers, which make numbers of numbers row by row."""


def get_class_path(instance: Any) -> str:
    """Return the class as the tables above name it, without private modules.

    >>> from sklearn.linear_model import Ridge
    >>> get_class_path(Ridge())
    'sklearn.linear_model.Ridge'
    """
    kind = type(instance)
    public: list[str] = []
    for part in kind.__module__.split("."):
        if part.startswith("_"):
            break
        public.append(part)
    return ".".join([*public, kind.__qualname__])


def build_transformer_graph(model: Any) -> Graph:
    """Return the fitted transformer's `transform` in stock TensorFlow operations.

    float64 (batch, features) -> float64 (batch, features out). Raises PublicationError naming the
    part that has no such form.
    """
    kind = get_class_path(model)
    if kind not in TRANSFORMERS:
        names = ", ".join(sorted({path.rsplit(".", 1)[1] for path in TRANSFORMERS}))
        raise PublicationError(f"export: no SavedModel with a {kind} in it; use one of {names}")
    return load_exporter(TRANSFORMERS[kind])(model)


def load_exporter(path: str) -> Callable[[Any], Graph]:
    """Return the function of a table's entry, "module:function"; its module is imported now."""
    module, name = path.split(":")
    return cast(Callable[[Any], Graph], getattr(importlib.import_module(module), name))
