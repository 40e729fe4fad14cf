"""The weighted ensemble: quantiles of several forecasters, averaged."""

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.forecasting.protocol import ServableForecaster


@dataclass(frozen=True, slots=True)
class EnsembleSettings:
    """How an ensemble is built again."""

    weights: Mapping[str, float]
    """By the members' names; they are positive and sum to 1."""
    recipes: Mapping[str, Any]
    """By the names of members that searched: what the search found."""


class EnsembleForecaster:
    """The weighted mean of its members' P10, of their P50, and of their P90.

    Averaging quantiles keeps their order, and widens no band as mixing distributions would
    (Lichtendahl, Grushka-Cockayne and Winkler, 2013, Management Science 59, 1594-1611).
    """

    name = "ensemble"
    feature_names: Sequence[str]
    """Inputs in order; those of its members, which have the same."""

    def __init__(
        self, members: Mapping[str, ServableForecaster], *, weights: Mapping[str, float]
    ) -> None:
        """`weights` name members; they are positive and sum to 1."""
        self.members = {name: members[name] for name in sorted(weights)}
        self.weights = {name: weights[name] for name in sorted(weights)}

    @property
    def recipe(self) -> dict[str, Any]:
        """Return how to build it again: weights, and the recipes of members that have one."""
        recipes = {name: getattr(member, "recipe", None) for name, member in self.members.items()}
        return {
            "weights": self.weights,
            "recipes": {name: recipe for name, recipe in recipes.items() if recipe is not None},
        }

    @property
    def settings(self) -> EnsembleSettings:
        """Return its weights, and the recipes of its members."""
        return EnsembleSettings(**self.recipe)

    def fit(self, features: pl.DataFrame) -> Self:
        """Train every member anew."""
        for member in self.members.values():
            member.fit(features)
        self.feature_names = next(iter(self.members.values())).feature_names
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return columns p10 <= p50 <= p90; null where a member has no forecast."""
        answers = {name: member.predict(features) for name, member in self.members.items()}
        parts = [
            answers[name].select(pl.col(OUTPUTS) * weight) for name, weight in self.weights.items()
        ]
        return functools.reduce(operator.add, parts)
