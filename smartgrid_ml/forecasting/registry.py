"""Which forecasters there are, by name. A new one gets its line here."""

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

SERVABLE = (*_TRAINED_FORECASTERS, *ENGINES, ENSEMBLE)
"""Forecasters that need nothing but the features of a row, and can be exported."""

FORECASTERS = (*NAIVE_ROWS, *SERVABLE)
"""Every name that `forecaster` knows; the naive rows come first, the ensemble of all last."""

WITHOUT_SEARCH = tuple(name for name in FORECASTERS if name not in ENGINES)


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How the engines search: each with this budget, telling `on_trial` of everything tried."""

    budget: Budget
    seed: int = 1
    on_trial: OnTrial = lambda *_: None


def share_budget(seconds: float, *, trials: int | None, memory_mb: int) -> Budget:
    """What each engine may use if all of them together may take so long."""
    return Budget(seconds / len(ENGINES), trials=trials, memory_mb=memory_mb)


QUICK_SEARCH = SearchSettings(Budget(seconds=60.0))
"""Where nobody said how to search."""


def create_forecaster(
    name: str, *, recipe: Recipe | None = None, searching: SearchSettings = QUICK_SEARCH
) -> Forecaster:
    """A fresh, unfitted forecaster; with a recipe, what an earlier search or blend had found.

    Raises ValueError naming the ones there are, or for an ensemble without recipe.
    """
    if name == ENSEMBLE:
        if recipe is None:
            raise ValueError("an ensemble is made from the weights that a backtest found")
        return _create_ensemble(recipe)
    if name in ENGINES:
        settings = AutomlSettings(name, searching.budget, searching.seed, recipe)
        return AutomlForecaster(settings, on_trial=searching.on_trial)
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
