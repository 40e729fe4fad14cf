"""The protocol of all search engines, and the modules that implement it."""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

from smartgrid_core.errors import ConfigurationError
from smartgrid_ml.automl.trials import Budget, Recipe, Trial
from smartgrid_ml.forecasting.point import PointModel, Rows

Report = Callable[[Trial], None]
"""What an engine calls with every trial as soon as it is scored."""


class Engine(Protocol):
    """A module: one library that searches for models by itself."""

    def search(self, rows: Rows, *, budget: Budget, seed: int, report: Report) -> None:
        """Try models until the budget is used or nothing is left to try.

        Each is scored on `rows.split_folds(INNER_FOLDS)` and reported as soon as it is scored:
        whoever ends the process keeps all that was reported. What one trial does wrong is that
        trial's error.

        Args:
            rows: what is learned from.
            budget: time, memory and trials that it may use.
            seed: of everything that the engine draws.
            report: called with every trial.
        """
        ...

    def train(self, recipe: Recipe, rows: Rows, *, seed: int) -> PointModel:
        """Return the model of a reported recipe, trained on all rows."""
        ...


_MODULES: Mapping[str, str] = {
    "autokeras": "smartgrid_ml.automl.autokeras",
    "tpot": "smartgrid_ml.automl.tpot",
    "h2o": "smartgrid_ml.automl.h2o",
}

ENGINES = tuple(_MODULES)
"""In the order in which they search."""


def keep_engine_ready(engine: Engine) -> contextlib.AbstractContextManager[None]:
    """Return a context within which what the engine needs for a training is started once.

    An engine that starts something for its trainings has the function `keep_ready`.
    """
    keep_ready = getattr(engine, "keep_ready", contextlib.nullcontext)
    return cast("contextlib.AbstractContextManager[None]", keep_ready())


def load_engine(name: str) -> Engine:
    """Return the engine of that name, or the one in the Python file of that path.

    Imports nothing heavy. Raises ConfigurationError if there is neither.
    """
    if name in _MODULES:
        return cast(Engine, importlib.import_module(_MODULES[name]))
    file = Path(name)
    spec = (
        importlib.util.spec_from_file_location(file.stem, file)
        if file.suffix == ".py" and file.is_file()
        else None
    )
    if spec is None or spec.loader is None:
        raise ConfigurationError(
            f"no AutoML engine {name!r}: choose one of {', '.join(ENGINES)}, or give the path of a"
            " Python file with the functions `search` and `train`"
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(Engine, module)
