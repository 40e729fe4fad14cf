"""Estimators as plain JSON and back: only what can be exported, and no pickle."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.trials import Recipe
from smartgrid_ml.export.exportable import REGRESSORS, TRANSFORMERS, get_class_path

FUNCTIONS = ("sklearn.feature_selection.f_regression",)
"""The functions that a recipe may name as a parameter's value."""

SET_WHEN_BUILT = ("random_state", "n_jobs")
"""Parameters that are no part of a recipe: they depend on where the model is trained."""

NAMED_PARTS = ("steps", "estimators", "transformer_list", "transformers")
"""Parameters that list a name and an estimator each, and maybe the features that it sees."""


def to_recipe(estimator: Any) -> Recipe:
    """Return the estimator's class and those of its parameters that are not the default.

    An estimator within is a recipe, a function {"function": path}. Raises SmartGridError for a
    class that cannot be exported, or a parameter that has no form in JSON.

    >>> from sklearn.linear_model import Ridge
    >>> to_recipe(Ridge(alpha=3.0))
    {'class': 'sklearn.linear_model.Ridge', 'parameters': {'alpha': 3.0}}
    """
    path = get_class_path(estimator)
    if path not in REGRESSORS and path not in TRANSFORMERS:
        raise SmartGridError(f"recipe: a {path} cannot be exported, and so not be found")
    defaults = _read_defaults(type(estimator))
    return {
        "class": path,
        "parameters": {
            name: _to_plain(value, of=f"{path}.{name}")
            for name, value in sorted(estimator.get_params(deep=False).items())
            if name not in SET_WHEN_BUILT
            and (name not in defaults or not _is_same(value, defaults[name]))
        },
    }


def build_estimator(recipe: Recipe, *, seed: int, threads: int) -> Any:
    """Return the untrained estimator of a recipe; seeds and threads are set wherever it has any.

    Raises SmartGridError for a class that cannot be exported.
    """
    path = recipe["class"]
    if path not in REGRESSORS and path not in TRANSFORMERS:
        raise SmartGridError(f"recipe: a {path} cannot be exported; was it written by hand?")
    parameters = {
        name: _build_value(value, name=name, seed=seed, threads=threads)
        for name, value in recipe.get("parameters", {}).items()
    }
    estimator = import_object(path)(**parameters)
    names = estimator.get_params(deep=False)
    always = {"random_state": seed, "n_jobs": threads}
    if "estimators" in names:
        # Its parts take the threads, one after the other.
        del always["n_jobs"]
    return estimator.set_params(**{name: value for name, value in always.items() if name in names})


def import_object(path: str) -> Any:
    """Return the class or function of a dotted path."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def flatten_recipe(recipe: Recipe, *, prefix: str = "") -> dict[str, Any]:
    """Return the recipe as names and values, as a tracker of trials shows them.

    >>> ridge = {"class": "sklearn.linear_model.Ridge", "parameters": {"alpha": 3.0}}
    >>> flatten_recipe(ridge)
    {'model': 'Ridge', 'alpha': 3.0}
    """
    name = recipe["class"].rsplit(".", 1)[1]
    shown: dict[str, Any] = {}
    parts: list[str] = []
    for key, value in recipe.get("parameters", {}).items():
        if key in NAMED_PARTS:
            for part_name, part, *_ in value:
                if isinstance(part, Mapping):
                    inner = flatten_recipe(part, prefix=f"{prefix}{part_name}.")
                    parts.append(inner.pop("model"))
                    shown |= inner
        elif isinstance(value, Mapping) and "class" in value:
            inner = flatten_recipe(value, prefix=f"{prefix}{key}.")
            parts.append(inner.pop("model"))
            shown |= inner
        else:
            shown[f"{prefix}{key}"] = value["function"] if isinstance(value, Mapping) else value
    if name == "ColumnTransformer":
        return {"model": "", **shown}
    if name == "Pipeline":
        parts = [part for part in parts if part]
        return {"model": " > ".join(parts), **shown}
    return {"model": f"{name}({', '.join(parts)})" if parts else name, **shown}


def _read_defaults(kind: type) -> dict[str, Any]:
    """Return the defaults: of an instance, or of the signature if an instance needs arguments."""
    parameters = inspect.signature(kind).parameters.values()
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    empty = inspect.Parameter.empty
    if all(
        parameter.default is not empty or parameter.kind in variable for parameter in parameters
    ):
        return dict(kind().get_params(deep=False))
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.default is not empty
    }


def _is_same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    if isinstance(value, float) and isinstance(default, float) and np.isnan(value):
        return bool(np.isnan(default))
    return type(value) is type(default) and bool(value == default)


def _to_plain(value: Any, *, of: str) -> Any:
    """Return a value as plain JSON. Raises SmartGridError, naming the parameter `of`."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_to_plain(entry, of=of) for entry in value]
    if hasattr(value, "get_params") and not isinstance(value, type):
        return to_recipe(value)
    path = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    public = ".".join(part for part in path.split(".") if not part.startswith("_"))
    if public in FUNCTIONS:
        return {"function": public}
    raise SmartGridError(f"recipe: {of} is a {type(value).__name__}, which is no plain value")


def _build_value(value: Any, *, name: str, seed: int, threads: int) -> Any:
    """Return what an estimator takes for a value of a recipe.

    Args:
        value: plain JSON.
        name: the parameter's name; NAMED_PARTS are lists of estimators.
        seed: of estimators within.
        threads: of estimators within.

    Returns:
        The value, a function or an untrained estimator.

    Raises:
        SmartGridError: If a function or a class is not one that a recipe may name.
    """
    if isinstance(value, Mapping) and "function" in value:
        if value["function"] not in FUNCTIONS:
            raise SmartGridError(f"recipe: {value['function']} is no function for a parameter")
        return import_object(value["function"])
    if isinstance(value, Mapping):
        return build_estimator(value, seed=seed, threads=threads)
    if name in NAMED_PARTS:
        return [
            (part_name, _build_value(part, name="", seed=seed, threads=threads), *columns)
            for part_name, part, *columns in value
        ]
    return value
