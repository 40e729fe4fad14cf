"""What a search may use, and the record of everything that it tried."""

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
    """How much one search may use."""

    seconds: float
    """Wall time from the start of its process, imports included."""
    trials: int | None = None
    """At most so many; None: as many as there is time for."""
    memory_mb: int = 6_000
    """Of the process and all that it starts."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One model that a search tried."""

    number: int
    """Its place in the search, as the engine counts."""
    parameters: Mapping[str, Any]
    """What was chosen, for people to read."""
    fold_scores: Sequence[float] = ()
    """Mean absolute error per fold, in the unit of the load; empty for a trial that failed."""
    seconds: float = 0.0
    """Wall time of training and scoring."""
    memory_mb: float = 0.0
    """Held by the search when the trial ended."""
    recipe: Recipe | None = None
    """None: it cannot be trained again, and so not be chosen."""
    error: str | None = None
    """Why it failed; None if it did not."""

    @property
    def score(self) -> float | None:
        """The mean over the folds; None for a trial that failed."""
        return sum(self.fold_scores) / len(self.fold_scores) if self.fold_scores else None

    def describe(self, engine: str) -> str:
        """Return one line for people: what was tried, what came of it, how long it took.

        >>> Trial(3, {"alpha": 1.0}, fold_scores=[2.0, 3.0], seconds=1.25).describe("tpot")
        'tpot trial 3: MAE 2.5 (2, 3) in 1.2 s; alpha=1.0'
        """
        outcome = f"MAE {self.score:.4g}" if self.score is not None else "failed"
        if len(self.fold_scores) > 1:
            outcome += f" ({', '.join(f'{score:.4g}' for score in self.fold_scores)})"
        if self.error is not None:
            outcome += f": {self.error.splitlines()[0] if self.error else 'it said nothing'}"
        chosen = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{engine} trial {self.number}: {outcome} in {self.seconds:.1f} s; {chosen}"

    def to_json(self) -> dict[str, Any]:
        """Return all fields by name, as a worker writes them."""
        return asdict(self)


@dataclass(slots=True)
class SearchResult:
    """Everything that a search tried, and how it ended."""

    engine: str
    """Its name, or the path of its file."""
    trials: list[Trial] = field(default_factory=list)
    """In the order in which they ended."""
    ended: str = "budget used"
    """budget used, finished, interrupted, out of memory, or the error that ended it."""

    @property
    def best(self) -> Trial | None:
        """The trial with the least finite score that can be trained again; the first of equals."""
        eligible = [
            (trial.score, trial)
            for trial in self.trials
            if trial.score is not None and math.isfinite(trial.score) and trial.recipe is not None
        ]
        return min(eligible, key=lambda scored: scored[0], default=(None, None))[1]


OnTrial = Callable[[str, Trial], None]
"""Called with the engine's name and every trial as soon as it has ended."""


def build_trials_table(searches: Sequence[SearchResult]) -> pl.DataFrame:
    """Return one row per trial, in the order in which they ended.

    `score` is the mean absolute error over the inner folds, in the unit of the load; `parameters`
    and `recipe` are JSON.
    """
    return pl.DataFrame(
        [
            {
                "engine": search.engine,
                "number": trial.number,
                "score": trial.score,
                "seconds": trial.seconds,
                "memory_mb": trial.memory_mb,
                "error": trial.error,
                "parameters": json.dumps(trial.parameters, default=str),
                "recipe": None if trial.recipe is None else json.dumps(trial.recipe),
            }
            for search in searches
            for trial in search.trials
        ],
        schema={
            "engine": pl.String,
            "number": pl.Int64,
            **dict.fromkeys(("score", "seconds", "memory_mb"), pl.Float64),
            **dict.fromkeys(("error", "parameters", "recipe"), pl.String),
        },
    )
