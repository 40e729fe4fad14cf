"""What TPOT draws its pipelines from: estimators of `export/exportable.py`, and their settings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.recipes import import_object
from smartgrid_ml.export.exportable import REGRESSORS, TRANSFORMERS

Space = Mapping[str, Any]
"""By parameter: (least, most), (least, most, "log"), a list to choose from, or a fixed value."""

LIGHTGBM = "lightgbm.sklearn.LGBMRegressor"
XGBOOST = "xgboost.sklearn.XGBRegressor"
HISTOGRAMS = "sklearn.ensemble.HistGradientBoostingRegressor"
EXTRA_TREES = "sklearn.ensemble.ExtraTreesRegressor"
FOREST = "sklearn.ensemble.RandomForestRegressor"
RIDGE = "sklearn.linear_model.Ridge"
STACKING = "sklearn.ensemble.StackingRegressor"
IMPUTER = "sklearn.impute.SimpleImputer"

_FOREST_SPACE: Space = {
    "n_estimators": (30, 150),
    "max_features": (0.2, 1.0),
    "min_samples_leaf": (2, 60, "log"),
    # A forest is served as it is grown: a thousand leaves per tree are 10 MB.
    "max_leaf_nodes": 1000,
    "max_samples": (0.3, 0.9),
    "bootstrap": True,
}

BOOSTERS: Mapping[str, Space] = {
    LIGHTGBM: {
        "objective": ["regression", "regression_l1", "quantile"],
        "alpha": 0.5,
        "n_estimators": (100, 600, "log"),
        "learning_rate": (0.02, 0.2, "log"),
        "num_leaves": (7, 127, "log"),
        "min_child_samples": (10, 200, "log"),
        "colsample_bytree": (0.3, 1.0),
        "subsample": (0.5, 1.0),
        "subsample_freq": 1,
        "reg_lambda": (1e-3, 30.0, "log"),
        "max_bin": [63, 127, 255],
        "verbosity": -1,
    },
    XGBOOST: {
        "objective": ["reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"],
        "n_estimators": (100, 500, "log"),
        "learning_rate": (0.02, 0.2, "log"),
        "max_depth": (3, 9),
        "min_child_weight": (1.0, 100.0, "log"),
        "colsample_bytree": (0.3, 1.0),
        "subsample": (0.5, 1.0),
        "reg_lambda": (1e-3, 30.0, "log"),
        "max_bin": [64, 128, 256],
        "verbosity": 0,
    },
    HISTOGRAMS: {
        "loss": ["squared_error", "absolute_error"],
        "max_iter": (80, 400, "log"),
        "learning_rate": (0.03, 0.3, "log"),
        "max_leaf_nodes": (7, 63, "log"),
        "min_samples_leaf": (10, 200, "log"),
        "max_features": (0.3, 1.0),
        "l2_regularization": (1e-3, 30.0, "log"),
        "early_stopping": False,
    },
}
"""They accept unknown inputs, NaN."""

PLAIN_REGRESSORS: Mapping[str, Space] = {
    RIDGE: {"alpha": (1e-3, 1e3, "log")},
    "sklearn.linear_model.ElasticNet": {
        "alpha": (1e-4, 1.0, "log"),
        "l1_ratio": (0.05, 1.0),
        "max_iter": 3000,
    },
    "sklearn.linear_model.LassoLarsCV": {"cv": 3, "max_iter": 200},
    "sklearn.linear_model.HuberRegressor": {
        "epsilon": (1.05, 2.0),
        "alpha": (1e-5, 1.0, "log"),
        "max_iter": 1000,
    },
    FOREST: _FOREST_SPACE,
    EXTRA_TREES: _FOREST_SPACE,
}
"""They need an imputer in front."""

SCALERS: Mapping[str, Space] = {
    "sklearn.preprocessing.StandardScaler": {},
    "sklearn.preprocessing.RobustScaler": {},
    "sklearn.preprocessing.MinMaxScaler": {"clip": True},
}

SELECTORS: Mapping[str, Space] = {
    "sklearn.feature_selection.VarianceThreshold": {"threshold": 0.0},
    "sklearn.feature_selection.SelectPercentile": {
        "score_func": "sklearn.feature_selection.f_regression",
        "percentile": (30, 100),
    },
}

IMPUTERS: Mapping[str, Space] = {
    IMPUTER: {
        "strategy": ["median", "mean"],
        "add_indicator": [False, True],
        "keep_empty_features": True,
    }
}


def build_search_space() -> Any:
    """Return TPOT's space: boosting on its own, another regressor with preparation, or a stack.

    Raises SmartGridError for an estimator that cannot be exported.
    """
    from tpot.search_spaces.pipelines import ChoicePipeline, SequentialPipeline

    def choose_from(spaces: Mapping[str, Space]) -> Any:
        return ChoicePipeline([_build_node(path, space) for path, space in spaces.items()])

    return ChoicePipeline(
        [
            SequentialPipeline([choose_from(BOOSTERS)]),
            SequentialPipeline(
                [
                    choose_from(IMPUTERS),
                    choose_from(SCALERS),
                    choose_from(SELECTORS),
                    choose_from(PLAIN_REGRESSORS),
                ]
            ),
            SequentialPipeline([_build_stacking_node()]),
        ]
    )


def generate_pipelines(space: Any, rng: np.random.Generator) -> Iterator[Any]:
    """Yield pipelines known to be good on loads, the best first; then whatever the space holds."""
    common = {"n_estimators": 300, "learning_rate": 0.05, "colsample_bytree": 0.4}
    boosted = {**common, "num_leaves": 31, "min_child_samples": 50, "subsample": 0.8}
    steps: Sequence[tuple[int, Mapping[str, Space]]] = [
        (0, {LIGHTGBM: {**boosted, "objective": "quantile", "max_bin": 127, "reg_lambda": 1.0}}),
        (1, {RIDGE: {"alpha": 1.0}}),
        (0, {LIGHTGBM: {**boosted, "objective": "regression", "max_bin": 127, "reg_lambda": 1.0}}),
        (1, {EXTRA_TREES: {"n_estimators": 80, "max_features": 0.5, "min_samples_leaf": 3}}),
        (0, {XGBOOST: {**common, "objective": "reg:squarederror", "max_depth": 6}}),
    ]
    for branch, settings in steps:
        yield _plant_pipeline(space, branch=branch, settings=settings, rng=rng)
    yield _plant_stack(space, boosted={**boosted, "objective": "quantile"}, rng=rng)
    while True:
        yield space.generate(rng)


def _plant_pipeline(space: Any, *, branch: int, settings: Mapping[str, Space], rng: Any) -> Any:
    """Return an individual of one branch of the space whose last step is given, the rest drawn.

    Args:
        space: what `build_search_space` returned.
        branch: 0 for boosting, 1 for a prepared regressor.
        settings: path and parameters of the last step.
        rng: draws all that is not given.

    Returns:
        An individual of TPOT's.
    """
    individual = space.generate(rng)
    individual.node = space.search_spaces[branch].generate(rng)
    ((path, parameters),) = settings.items()
    last = individual.node.pipeline[-1]
    (node,) = (node for node in last.search_spaces if node.method is import_object(path))
    last.node = node.generate(rng)
    last.node.hyperparameters |= parameters
    return individual


def _plant_stack(space: Any, *, boosted: Space, rng: Any) -> Any:
    """Return a stack of LightGBM, extra trees and a line beside each other."""
    individual = space.generate(rng)
    individual.node = space.search_spaces[2].generate(rng)
    individual.node.pipeline[-1].hyperparameters |= {
        **{f"LGBMRegressor:{name}": value for name, value in boosted.items()},
        "XGBRegressor:in": False,
        "ExtraTreesRegressor:in": True,
        "ExtraTreesRegressor:max_features": 0.5,
        "ExtraTreesRegressor:min_samples_leaf": 3,
        "last:alpha": 1.0,
    }
    return individual


def _build_node(path: str, space: Space) -> Any:
    """Return TPOT's node of an estimator; SmartGridError if it cannot be exported."""
    from tpot.search_spaces.nodes import EstimatorNode

    if path not in REGRESSORS and path not in TRANSFORMERS:
        raise SmartGridError(f"TPOT may not draw {path}: it cannot be exported")
    return EstimatorNode(
        import_object(path), _build_configurations(space), hyperparameter_parser=_to_plain
    )


def _build_configurations(space: Space) -> Any:
    """Return the space as ConfigSpace writes it."""
    from ConfigSpace import Categorical, ConfigurationSpace, Constant, Float, Integer

    configurations = ConfigurationSpace()
    for name, values in space.items():
        if isinstance(values, list):
            configurations.add(Categorical(name, values))
        elif isinstance(values, bool):
            configurations.add(Categorical(name, [values]))
        elif not isinstance(values, tuple):
            configurations.add(Constant(name, values))
        else:
            kind = Integer if isinstance(values[0], int) else Float
            configurations.add(kind(name, values[:2], log=values[2:] == ("log",)))
    return configurations


def _to_plain(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return drawn parameters as an estimator takes them."""
    return {
        name: import_object(value)
        if name == "score_func"
        else value.item()
        if isinstance(value, np.generic)
        else value
        for name, value in drawn.items()
    }


_STACK_MEMBERS = (LIGHTGBM, XGBOOST, EXTRA_TREES, RIDGE)


def _build_stacking_node() -> Any:
    """Return TPOT's node of a stack, its parameters named `member:parameter`."""
    from tpot.search_spaces.nodes import EstimatorNode

    if STACKING not in REGRESSORS:
        raise SmartGridError(f"TPOT may not draw {STACKING}: it cannot be exported")
    space: dict[str, Any] = {"cv": 3}
    for path in _STACK_MEMBERS:
        member = path.rsplit(".", 1)[1]
        member_space = {**BOOSTERS, **PLAIN_REGRESSORS}[path]
        space |= {f"{member}:{name}": values for name, values in member_space.items()}
        space[f"{member}:in"] = [True, False]
    space["last:alpha"] = (1e-3, 1e3, "log")
    return EstimatorNode(
        import_object(STACKING), _build_configurations(space), hyperparameter_parser=_parse_stack
    )


def _parse_stack(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stack's parameters: members beside each other, and a line through their answers."""
    from sklearn.pipeline import make_pipeline

    settings = _to_plain(drawn)
    estimators = []
    for path in _STACK_MEMBERS:
        member = path.rsplit(".", 1)[1]
        own = {
            name.partition(":")[2]: value
            for name, value in settings.items()
            if name.startswith(f"{member}:")
        }
        # With fewer than two there is nothing to weigh: LightGBM and the line always take part.
        if own.pop("in") or path in (LIGHTGBM, RIDGE):
            estimator = import_object(path)(**own)
            if path not in BOOSTERS:
                estimator = make_pipeline(_create_imputer(), estimator)
            estimators.append((member, estimator))
    last = import_object(RIDGE)(alpha=settings["last:alpha"])
    # It does not see the features themselves: a line through them spoils what trees answer for
    # hours unlike those before (tried on the London aggregate: an error of twice the size).
    return {"estimators": estimators, "final_estimator": last, "cv": settings["cv"]}


def _create_imputer() -> Any:
    """Return an imputer of medians that keeps features without any known value."""
    return import_object(IMPUTER)(strategy="median", keep_empty_features=True)
