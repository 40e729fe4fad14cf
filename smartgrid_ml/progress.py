"""How far a training is: what it reports while it is under way, and the sentence for people.

Whoever trains reports `FitProgress` and `SearchProgress`; they travel as plain facts (`to_facts`),
such as the metadata of an event in Dagster, and are read again by `read_progress`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class FitProgress:
    """A forecaster that is about to be trained."""

    model: str
    """Its name in the registry of forecasters."""
    number: int = 1
    """Its place among all that are trained, from 1."""
    models: int = 1
    """So many forecasters are trained, one after the other."""
    fold: int = 1
    """The span of the backtest before which it is trained, from 1."""
    folds: int = 1
    """So many spans has the backtest, that by which a blend is weighed included."""

    def describe(self) -> str:
        """Return what is trained, for people.

        >>> FitProgress("boosting", number=5, models=10, fold=2, folds=3).describe()
        'trains boosting (model 5 of 10, fold 2 of 3)'
        >>> FitProgress("boosting").describe()
        'trains boosting'
        """
        places = []
        if self.models > 1:
            places.append(f"model {self.number} of {self.models}")
        if self.folds > 1:
            places.append(f"fold {self.fold} of {self.folds}")
        return f"trains {self.model}" + (f" ({', '.join(places)})" if places else "")


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """A search that is under way, or has ended."""

    engine: str
    """What searches."""
    trials: int
    """Models that it has tried so far, failed ones included."""
    best: float | None
    """The least mean absolute error so far, in the unit of the load; None before a usable model."""
    left_s: float
    """Seconds of its budget that are left; below zero while it is waited for its first model."""
    ended: str | None = None
    """How it ended; None while it is under way."""

    @property
    def has_ended(self) -> bool:
        """Whether the search is over."""
        return self.ended is not None

    def describe(self) -> str:
        """Return engine, trial, best so far and seconds left, for people.

        >>> SearchProgress("tpot", 7, 0.71234, 38.4).describe()
        'tpot searches: trial 7, best so far MAE 0.7123, 38 s left'
        >>> SearchProgress("h2o", 0, None, -3.0).describe()
        'h2o searches: no trial yet, its time is up, it gets its first model'
        >>> SearchProgress("tpot", 9, 0.71234, 0.0, ended="failed (exit code 3): boom").describe()
        'tpot tried 9 models, best MAE 0.7123 (failed (exit code 3))'
        """
        best = f"MAE {self.best:.4g}" if self.best is not None else "none"
        if self.ended is not None:
            # What follows the colon is whatever a library printed: the log has it.
            how = self.ended.partition(":")[0]
            tried = f"{self.trials} model{'' if self.trials == 1 else 's'}"
            return f"{self.engine} tried {tried}, best {best} ({how})"
        parts = [f"trial {self.trials}, best so far {best}" if self.trials else "no trial yet"]
        if self.left_s > 0:
            parts.append(f"{self.left_s:.0f} s left")
        elif self.best is None:
            parts.append("its time is up, it gets its first model")
        else:
            parts.append("its time is up")
        return f"{self.engine} searches: {', '.join(parts)}"


TrainingProgress = FitProgress | SearchProgress

OnProgress = Callable[[TrainingProgress], None]
"""Is called whenever a training has come further."""


def to_facts(progress: TrainingProgress) -> dict[str, str | int | float]:
    """Return what is known by name, as plain values.

    >>> to_facts(SearchProgress("tpot", 0, None, 80.0))
    {'engine': 'tpot', 'trials': 0, 'left_s': 80.0}
    """
    return {name: value for name, value in asdict(progress).items() if value is not None}


def pass_time(progress: TrainingProgress, *, seconds: float) -> TrainingProgress:
    """Return what is known so many seconds after it was reported.

    >>> pass_time(SearchProgress("tpot", 3, 1.5, 80.0), seconds=9.0).describe()
    'tpot searches: trial 3, best so far MAE 1.5, 71 s left'
    """
    if isinstance(progress, SearchProgress) and not progress.has_ended:
        return replace(progress, left_s=progress.left_s - seconds)
    return progress


def read_progress(facts: Mapping[str, Any]) -> TrainingProgress | None:
    """Return what `to_facts` wrote; None for facts of something else.

    Facts that are not ours are left aside.

    >>> read_progress({"engine": "tpot", "trials": 3, "left_s": 80.0, "mlflow_run": "a"})
    SearchProgress(engine='tpot', trials=3, best=None, left_s=80.0, ended=None)
    >>> read_progress({"rows": 3}) is None
    True
    """
    try:
        if "engine" in facts:
            return SearchProgress(
                engine=str(facts["engine"]),
                trials=int(facts["trials"]),
                best=None if facts.get("best") is None else float(facts["best"]),
                left_s=float(facts["left_s"]),
                ended=None if facts.get("ended") is None else str(facts["ended"]),
            )
        if "model" in facts:
            return FitProgress(
                str(facts["model"]),
                *(int(facts[name]) for name in ("number", "models", "fold", "folds")),
            )
    except (KeyError, TypeError, ValueError):
        return None  # of an older version
    return None
