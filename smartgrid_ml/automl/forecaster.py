"""An engine as a forecaster: it searches at the first fit and trains the winner at every fit."""

from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.engine import keep_engine_ready, load_engine
from smartgrid_ml.automl.search import run_search
from smartgrid_ml.automl.trials import Budget, OnTrial, Recipe, SearchResult
from smartgrid_ml.forecasting.point import PointForecaster, PointModel, Rows
from smartgrid_ml.progress import OnProgress


@dataclass(frozen=True, slots=True)
class AutomlSettings:
    """How an engine searches, or the recipe that an earlier search found."""

    engine: str
    """One of ENGINES, or the path of a Python file with `search` and `train`."""
    budget: Budget
    seed: int = 1
    recipe: Recipe | None = None
    """Given: nothing is searched for."""


class AutomlForecaster(PointForecaster):
    """The best model that an engine found within its budget.

    The first `fit` searches, unless a recipe is given; a later one only trains anew. What the
    search found stays in `search_result`, what is trained in `recipe`.
    """

    search_result: SearchResult | None = None
    """What the search found; None before it, and if a recipe was given."""

    def __init__(
        self,
        settings: AutomlSettings,
        *,
        on_trial: OnTrial = lambda *_: None,
        on_progress: OnProgress = lambda _: None,
    ) -> None:
        self._settings = settings
        self.recipe = settings.recipe
        self._on_trial = on_trial
        self._on_progress = on_progress
        super().__init__(settings.engine, self)

    @property
    def settings(self) -> Any:
        """How it searched, with the recipe that it found."""
        return AutomlSettings(
            self._settings.engine, self._settings.budget, self._settings.seed, self.recipe
        )

    def fit(self, features: pl.DataFrame) -> Self:
        """Search if nothing was found yet, calibrate and train; see `PointForecaster.fit`."""
        with keep_engine_ready(load_engine(self._settings.engine)):
            return super().fit(features)

    def prepare(self, rows: Rows) -> None:
        """Search, if nothing was found yet. Raises SmartGridError if nothing could be trained."""
        if self.recipe is not None:
            return
        settings = self._settings
        self.search_result = run_search(
            settings.engine,
            rows,
            budget=settings.budget,
            seed=settings.seed,
            on_trial=self._on_trial,
            on_progress=self._on_progress,
        )
        if self.search_result.best is None:
            errors = [trial.error for trial in self.search_result.trials if trial.error]
            last_error = f"; the last of {len(errors)} errors: {errors[-1]}" if errors else ""
            raise SmartGridError(
                f"{settings.engine} found no model in {settings.budget.seconds:.0f} s"
                f" ({self.search_result.ended}){last_error}"
            )
        self.recipe = self.search_result.best.recipe

    def learn(self, rows: Rows) -> PointModel:
        """Return the model found, trained on these rows. Raises ValueError before a search."""
        if self.recipe is None:
            raise ValueError(f"{self.name} has not searched yet: call fit")
        return load_engine(self._settings.engine).train(self.recipe, rows, seed=self._settings.seed)
