"""What every engine promises, and where each one is found."""

import importlib
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from smartgrid_ml.automl.trials import Budget, Recipe, Trial
from smartgrid_ml.forecasting.point import PointModel, Rows

Report = Callable[[Trial], None]


class Engine(Protocol):
    """A module: one library that searches for models by itself."""

    def search(self, rows: Rows, *, budget: Budget, seed: int, report: Report) -> None:
        """Try models until the budget is used or nothing is left to try.

        Each is scored on `rows.rolling_origin(INNER_FOLDS)` and reported as soon as it is scored:
        whoever ends the process keeps all that was reported. What one trial does wrong is that
        trial's error.
        """
        ...

    def train(self, recipe: Recipe, rows: Rows, *, seed: int) -> PointModel:
        """The model of a reported recipe, trained on all rows."""
        ...


_MODULES: Mapping[str, str] = {
    "autokeras": "smartgrid_ml.automl.autokeras",
    "tpot": "smartgrid_ml.automl.tpot",
    "h2o": "smartgrid_ml.automl.h2o",
}

ENGINES = tuple(_MODULES)
"""In the order in which they search."""


def engine(name: str) -> Engine:
    """The engine of that name; imports nothing heavy."""
    return cast(Engine, importlib.import_module(_MODULES[name]))
