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
"""Functions that a parameter may be."""

SET_WHEN_BUILT = ("random_state", "n_jobs")
"""Parameters that say nothing of the model."""

NAMED_PARTS = ("steps", "estimators", "transformer_list", "transformers")
"""Parameters that list a name and an estimator each, and maybe the features that it sees."""


def to_recipe(estimator: Any) -> Recipe:
    """The estimator's class and those of its parameters that are not the default.

    {"class": "sklearn.linear_model.Ridge", "parameters": {"alpha": 3.0}}; an estimator within is a
    recipe, a function {"function": path}. Raises SmartGridError for a class or a parameter that
    has no place in a recipe.
    """
    path = get_class_path(estimator)
    if path not in REGRESSORS and path not in TRANSFORMERS:
        raise SmartGridError(f"recipe: a {path} cannot be exported, and so not be found")
    given = estimator.get_params(deep=False)
    usual = _read_defaults(type(estimator))
    return {
        "class": path,
        "parameters": {
            name: _to_plain(value, of=f"{path}.{name}")
            for name, value in sorted(given.items())
            if name not in SET_WHEN_BUILT
            and (name not in usual or not _is_same(value, usual[name]))
        },
    }


def build_estimator(recipe: Recipe, *, seed: int, threads: int) -> Any:
    """The estimator of a recipe, not trained; seeds and threads are set wherever it has any.

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
    known = estimator.get_params(deep=False)
    always = {"random_state": seed, "n_jobs": threads}
    if "estimators" in known:
        # Its parts take the threads, one after the other.
        del always["n_jobs"]
    return estimator.set_params(**{name: one for name, one in always.items() if name in known})


def import_object(path: str) -> Any:
    """What a dotted path names."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def flatten_recipe(recipe: Recipe, *, prefix: str = "") -> dict[str, Any]:
    """The recipe as names and values, as a tracker of trials shows them."""
    name = recipe["class"].rsplit(".", 1)[1]
    shown: dict[str, Any] = {}
    parts: list[str] = []
    for key, value in recipe.get("parameters", {}).items():
        if key in NAMED_PARTS:
            for called, part, *_ in value:
                if isinstance(part, Mapping):
                    inner = flatten_recipe(part, prefix=f"{prefix}{called}.")
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
    """An estimator that is told nothing says them all; one that must be told, its signature."""
    told = inspect.signature(kind).parameters.values()
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    if all(one.default is not inspect.Parameter.empty or one.kind in variable for one in told):
        return dict(kind().get_params(deep=False))
    return {one.name: one.default for one in told if one.default is not inspect.Parameter.empty}


def _is_same(value: Any, usual: Any) -> bool:
    if value is usual:
        return True
    if isinstance(value, float) and isinstance(usual, float) and np.isnan(value):
        return bool(np.isnan(usual))
    return type(value) is type(usual) and bool(value == usual)


def _to_plain(value: Any, *, of: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_to_plain(one, of=of) for one in value]
    if hasattr(value, "get_params") and not isinstance(value, type):
        return to_recipe(value)
    path = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    public = ".".join(part for part in path.split(".") if not part.startswith("_"))
    if public in FUNCTIONS:
        return {"function": public}
    raise SmartGridError(f"recipe: {of} is a {type(value).__name__}, which is no plain value")


def _build_value(value: Any, *, name: str, seed: int, threads: int) -> Any:
    if isinstance(value, Mapping) and "function" in value:
        if value["function"] not in FUNCTIONS:
            raise SmartGridError(f"recipe: {value['function']} is no function for a parameter")
        return import_object(value["function"])
    if isinstance(value, Mapping):
        return build_estimator(value, seed=seed, threads=threads)
    if name in NAMED_PARTS:
        return [
            (called, _build_value(part, name="", seed=seed, threads=threads), *seen)
            for called, part, *seen in value
        ]
    return value
