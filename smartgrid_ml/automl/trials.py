"""What a search may use, and what it says of everything that it tried."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

INNER_FOLDS = 2
"""Rolling origins within the training span on which every trial of every engine is scored."""

Recipe = Mapping[str, Any]
"""How to train a model that a search found, once more on other rows: plain JSON."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one search may use.

    `seconds` of wall time from the start of its process, imports included; `trials` at most (None:
    as many as there is time for); `memory_mb` of the process and all that it starts.
    """

    seconds: float
    trials: int | None = None
    memory_mb: int = 6_000


@dataclass(frozen=True, slots=True)
class Trial:
    """One model that a search tried.

    `fold_scores`: mean absolute error on each fold that it was scored on, in the unit of the load;
    empty for one that failed, whose `error` says why. `recipe` is None if it cannot be trained
    again, and so not be chosen.
    """

    number: int
    parameters: Mapping[str, Any]
    fold_scores: Sequence[float] = ()
    seconds: float = 0.0
    memory_mb: float = 0.0
    recipe: Recipe | None = None
    error: str | None = None

    @property
    def score(self) -> float | None:
        """Mean over the folds; None for a trial that failed."""
        return sum(self.fold_scores) / len(self.fold_scores) if self.fold_scores else None

    def line(self, engine: str) -> str:
        """One line for people: what was tried, what came of it, how long it took."""
        told = f"MAE {self.score:.4g}" if self.score is not None else "failed"
        if len(self.fold_scores) > 1:
            told += f" ({', '.join(f'{score:.4g}' for score in self.fold_scores)})"
        if self.error is not None:
            told += f": {self.error.splitlines()[0] if self.error else 'it said nothing'}"
        chosen = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{engine} trial {self.number}: {told} in {self.seconds:.1f} s; {chosen}"

    def to_json(self) -> dict[str, Any]:
        """As a worker writes it down."""
        return asdict(self)


@dataclass(slots=True)
class SearchResult:
    """What a search came home with: everything it tried, and how it ended."""

    engine: str
    trials: list[Trial] = field(default_factory=list)
    ended: str = "budget used"
    """budget used, finished, interrupted, out of memory, or the error that ended it."""

    @property
    def best(self) -> Trial | None:
        """The trial with the least finite score that can be trained again; the first of equals."""
        able = [
            (trial.score, trial)
            for trial in self.trials
            if trial.score is not None and math.isfinite(trial.score) and trial.recipe is not None
        ]
        return min(able, key=lambda scored: scored[0], default=(None, None))[1]


OnTrial = Callable[[str, Trial], None]
"""Told of every trial as it ends: the engine's name and what it tried."""


def build_trials_table(searches: Sequence[SearchResult]) -> pl.DataFrame:
    """One row per trial, in the order in which they ended.

    `score` is the mean absolute error over the inner folds, in the unit of the load; `parameters`
    and `recipe` are JSON.
    """
    return pl.DataFrame(
        [
            {
                "engine": found.engine,
                "number": trial.number,
                "score": trial.score,
                "seconds": trial.seconds,
                "memory_mb": trial.memory_mb,
                "error": trial.error,
                "parameters": json.dumps(trial.parameters, default=str),
                "recipe": None if trial.recipe is None else json.dumps(trial.recipe),
            }
            for found in searches
            for trial in found.trials
        ],
        schema={
            "engine": pl.String,
            "number": pl.Int64,
            **dict.fromkeys(("score", "seconds", "memory_mb"), pl.Float64),
            **dict.fromkeys(("error", "parameters", "recipe"), pl.String),
        },
    )
