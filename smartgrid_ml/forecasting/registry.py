"""The registry of forecasters: which ones there are, by name. A new one gets its line here.

`create_forecaster` is the way in; whether a model is servable, naive or the ensemble of the others
is read from the tuples of names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from smartgrid_ml.automl.engine import ENGINES
from smartgrid_ml.automl.forecaster import AutomlForecaster, AutomlSettings
from smartgrid_ml.automl.trials import Budget, OnTrial, Recipe
from smartgrid_ml.forecasting.boosting import BoostingForecaster
from smartgrid_ml.forecasting.ensemble import EnsembleForecaster
from smartgrid_ml.forecasting.naive import NaiveForecaster
from smartgrid_ml.forecasting.protocol import Forecaster, ServableForecaster
from smartgrid_ml.forecasting.seasonal import SeasonalEmpirical
from smartgrid_ml.progress import OnProgress


def _create_keras() -> Forecaster:
    from smartgrid_ml.forecasting.keras_network import KerasForecaster

    return KerasForecaster()


_NAIVE_FORECASTERS: Mapping[str, Callable[[], Forecaster]] = {
    "naive_24h": lambda: NaiveForecaster("naive_24h", repeats=["same_hour_1d_kw"]),
    "naive_168h": lambda: NaiveForecaster("naive_168h", repeats=["same_hour_7d_kw"]),
    "mean_4_weeks": lambda: NaiveForecaster("mean_4_weeks", repeats=["same_weekday_mean_4w_kw"]),
    "seasonal_empirical": SeasonalEmpirical,
}

_TRAINED_FORECASTERS: Mapping[str, Callable[[], Forecaster]] = {
    "boosting": BoostingForecaster,
    "keras": _create_keras,
}

NAIVE_ROWS = tuple(_NAIVE_FORECASTERS)
"""What every other model has to beat."""

ENSEMBLE = EnsembleForecaster.name
"""The blend of all servable others, which only a backtest can make."""

SERVABLE = (*_TRAINED_FORECASTERS, *ENGINES, ENSEMBLE)
"""Forecasters that need nothing but the features of a row, and can be exported."""

FORECASTERS = (*NAIVE_ROWS, *SERVABLE)
"""All that `create_forecaster` knows; the naive rows come first, the ensemble of all last."""

WITHOUT_SEARCH = tuple(name for name in FORECASTERS if name not in ENGINES)
"""Those that cost no search budget."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How the engines search."""

    budget: Budget
    """Of each engine."""
    seed: int = 1
    """The same seed and data try the same models in the same order."""
    on_trial: OnTrial = lambda *_: None
    """Is called with the engine's name and the trial after each one."""
    on_progress: OnProgress = lambda _: None
    """Is called whenever a search has come further, before `on_trial`."""


def share_budget(seconds: float, *, trials: int | None, memory_mb: int) -> Budget:
    """Return what each engine may use if all of them together may take so many `seconds`.

    `trials` and `memory_mb` are limits of each engine; without `trials` time alone ends a search.

    >>> share_budget(900.0, trials=None, memory_mb=6000).seconds
    300.0
    """
    return Budget(seconds / len(ENGINES), trials=trials, memory_mb=memory_mb)


QUICK_SEARCH = SearchSettings(Budget(seconds=60.0))
"""Where the caller does not say how to search."""


def create_forecaster(
    name: str, *, recipe: Recipe | None = None, searching: SearchSettings = QUICK_SEARCH
) -> Forecaster:
    """Return a fresh, unfitted forecaster; with a recipe, the one that a search or blend found.

    Raises ValueError naming the ones there are, or for an ensemble without recipe.

    >>> create_forecaster("naive_24h").name
    'naive_24h'
    """
    if name == ENSEMBLE:
        if recipe is None:
            raise ValueError("an ensemble is made from the weights that a backtest found")
        return _create_ensemble(recipe)
    if name in ENGINES:
        settings = AutomlSettings(name, searching.budget, searching.seed, recipe)
        return AutomlForecaster(
            settings, on_trial=searching.on_trial, on_progress=searching.on_progress
        )
    make = {**_NAIVE_FORECASTERS, **_TRAINED_FORECASTERS}.get(name)
    if make is None:
        raise ValueError(f"no forecaster {name!r}; there are {', '.join(FORECASTERS)}")
    return make()


def _create_ensemble(recipe: Mapping[str, Any]) -> EnsembleForecaster:
    weights = recipe["weights"]
    members = {
        name: create_forecaster(name, recipe=recipe["recipes"].get(name)) for name in weights
    }
    return EnsembleForecaster(cast("dict[str, ServableForecaster]", members), weights=weights)
