"""AutoKeras as an engine: a neural architecture search over dense networks.

AutoKeras proposes (its greedy tuner changes one group of choices of the best trial at a time) and
builds; training, scoring and answering are ours. Left to itself AutoKeras 3 hands out tabular
models whose answers are orders of magnitude off (its issues 1963 and 1964): inputs go in unscaled
unless the search happens to choose a Normalization layer, the winner is trained once more without
a validation that would stop it, and what it exports lacks its preprocessing. Here inputs and
target are standardised and cut before AutoKeras sees them, every training keeps its best epoch,
and answers are cut to the range of the targets (`SearchedNetwork`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from smartgrid_core.arrays import F32
from smartgrid_ml.automl.engine import Report
from smartgrid_ml.automl.folds import draw_rows, split_inner_folds
from smartgrid_ml.automl.memory import measure_memory_mb
from smartgrid_ml.automl.searched_network import (
    FEWEST_BATCH_ROWS,
    SearchedNetwork,
    TrainingLimits,
    train_networks,
)
from smartgrid_ml.automl.trials import Budget, Recipe, Trial
from smartgrid_ml.forecasting.point import Rows
from smartgrid_ml.tensorflow_runtime import tensorflow

UNITS = [16, 32, 64, 128, 256]
MOST_PARAMETERS = 200_000
"""Of a network: a larger one takes minutes per training and learns no more of such tables."""

MOST_ROWS = 60_000
"""Of one training in a search; a sample of more tells architectures apart as well."""

EPOCHS = 40
NETWORKS = 3
"""The model is the mean of so many: the seed alone makes single ones differ by a few percent."""

TRIAL_SHARE = 1 / 16
"""Of the budget, at most, for the training of one fold: so a small budget, too, compares a few."""

LEAST_TRAINING_S = 4.0
"""A fold of the first trial gets it also when the budget is used up before: an epoch or more, so
that what is found with no time to search is a network and not a straight line."""

MARGIN_S = 2.0
"""Before the end of the budget, for the last trial to be scored and reported."""

MOST_FAILED_TRIALS = 1_000
"""Failures in a row after which AutoKeras gives up: each is a trial with its error."""


class _OutOfTimeError(Exception):
    """The budget is used up."""


@dataclass(slots=True)
class _Clock:
    """When the search ends, and how long one training may take."""

    deadline: float
    """Monotonic time, seconds."""
    longest_training_s: float

    @classmethod
    def from_budget(cls, budget: Budget) -> "_Clock":
        """Return the clock of a search that begins now."""
        return cls(time.monotonic() + budget.seconds - MARGIN_S, budget.seconds * TRIAL_SHARE)

    def end_training_at(self, *, is_first: bool) -> float:
        """Return the monotonic time, seconds, at which a training that begins now has to end.

        One of the first trial gets LEAST_TRAINING_S, whatever is left of the budget.
        """
        now = time.monotonic()
        ends = min(self.deadline, now + self.longest_training_s)
        return max(ends, now + LEAST_TRAINING_S) if is_first else ends


def search(rows: Rows, *, budget: Budget, seed: int, report: Report) -> None:
    """Let AutoKeras propose networks until the budget is used or it knows no other.

    A trial is scored on every fold of `rows.split_folds(INNER_FOLDS)`: mean absolute error in
    load units on the later rows, of one network trained on the earlier ones alone, a part of which
    says when to stop (`train` takes the mean of several networks). A long table is sampled for
    training, never for scoring. A training ends after a sixteenth of the budget at the latest. The
    first trial is scored even if the budget is used up by then.

    Args:
        rows: what is learned from.
        budget: how long the search takes and how many trials it makes at most.
        seed: of AutoKeras's proposals and of every training.
        report: called with every trial as soon as it is scored.

    Raises:
        SmartGridError: If there are too few issue times for a fold.
    """
    clock = _Clock.from_budget(budget)
    tensorflow()
    import keras

    keras.utils.set_random_seed(seed)
    folds = split_inner_folds(rows, engine="autokeras")
    scorer = _TrialScorer(folds, seed=seed, clock=clock, report=report)
    auto_model = _make_auto_model(scorer, most_trials=budget.trials)
    train, held_out = folds[-1]
    try:
        # What AutoKeras is given tells it the shapes; the scorer knows the folds.
        auto_model.fit(
            *_take_sample_arrays(train),
            validation_data=_take_sample_arrays(held_out),
            batch_size=FEWEST_BATCH_ROWS,
            epochs=EPOCHS,
            verbose=0,
        )
    except _OutOfTimeError:
        return


def train(recipe: Recipe, rows: Rows, *, seed: int) -> SearchedNetwork:
    """Return NETWORKS networks of a recipe, trained on all rows but the weeks that stop them.

    Raises ValueError for a recipe that lacks a choice which the network is made of.
    """
    tensorflow()
    return train_networks(
        lambda: _build_network(recipe["hyperparameters"], features=len(rows.names), rows=len(rows)),
        rows,
        seeds=range(seed, seed + NETWORKS),
        limits=TrainingLimits(EPOCHS),
    )


def _build_space() -> tuple[Any, Any]:
    """Return input and output of the space that is searched: a dense block beside a short cut.

    Everything that is tuned has a name of its own: AutoKeras would count its blocks up within a
    process, and a recipe of one process would say nothing to the next.
    """
    import autokeras
    from keras_tuner.engine import hyperparameters

    inputs = autokeras.Input(name="inputs")
    dense = autokeras.DenseBlock(
        num_units=hyperparameters.Choice("num_units", UNITS, default=64), name="dense"
    )(inputs)
    joined = autokeras.Merge(name="merge")([dense, inputs])
    head = autokeras.RegressionHead(
        loss="mean_absolute_error", metrics=["mean_absolute_error"], name="load"
    )
    (output,) = head(joined)
    return inputs, output


@dataclass(slots=True)
class _TrialScorer:
    """Scores and reports what AutoKeras proposes, on the folds that every engine scores on."""

    folds: Sequence[tuple[Rows, Rows]]
    """Earlier rows to train on, later ones to score on."""
    seed: int
    clock: _Clock
    report: Report
    n_trials: int = 0
    """Trials so far."""
    n_scored: int = 0
    """Those that did not fail."""

    def score_trial(self, values: Mapping[str, Any], build: Callable[[], Any]) -> float:
        """Return the mean of the fold scores, after reporting the trial.

        `values` are the choices by name, `build` makes the network of them. Raises whatever keeps
        the network from being scored, after reporting it as the trial's error.
        """
        began = time.monotonic()
        self.n_trials += 1
        trial = Trial(self.n_trials, values, recipe={"hyperparameters": values})
        # The seed of a training must not decide what AutoKeras draws next.
        state = np.random.get_state()
        try:
            scores = [self._score_fold(build, *fold) for fold in self.folds]
            trial = replace(trial, fold_scores=scores)
            self.n_scored += 1
        except Exception as error:
            error_text = f"{type(error).__name__}: {str(error).strip()}"
            trial = replace(trial, recipe=None, error=error_text)
            raise
        finally:
            np.random.set_state(state)
            seconds = time.monotonic() - began
            self.report(replace(trial, seconds=seconds, memory_mb=measure_memory_mb()))
        return float(np.mean(scores))

    def _score_fold(self, build: Callable[[], Any], earlier: Rows, later: Rows) -> float:
        """Return the mean absolute error on the later rows, in the unit of the load."""
        model = train_networks(
            build,
            draw_rows(earlier, most=MOST_ROWS, random=np.random.default_rng(self.seed)),
            seeds=[self.seed],
            limits=TrainingLimits(
                EPOCHS, ends=self.clock.end_training_at(is_first=self.n_scored == 0)
            ),
        )
        errors = np.abs(model.predict(later.inputs) - later.target) * later.size
        score = float(errors.mean())
        if not np.isfinite(score):
            raise FloatingPointError("the network's answers are not finite")
        return score


def _make_auto_model(scorer: _TrialScorer, *, most_trials: int | None) -> Any:
    """Return AutoKeras's search over `_build_space`, which works in the current folder."""
    import autokeras
    import keras

    keras.config.disable_interactive_logging()
    inputs, output = _build_space()
    return autokeras.AutoModel(
        inputs,
        output,
        project_name="autokeras",
        directory=str(Path.cwd()),
        overwrite=True,
        max_trials=most_trials or 10**6,
        tuner=_make_tuner_class(scorer),
        seed=scorer.seed,
        max_model_size=MOST_PARAMETERS,
    )


def _make_tuner_class(scorer: _TrialScorer) -> Any:
    """Return AutoKeras's greedy tuner with our scoring; a class, because AutoKeras wants one."""
    import keras_tuner
    from autokeras.tuners.greedy import Greedy
    from keras_tuner.errors import FailedTrialError

    class Tuner(Greedy):  # type: ignore[misc] # the base class has no types
        """Proposes as AutoKeras does; scores as every engine does."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.oracle.max_consecutive_failed_trials = MOST_FAILED_TRIALS

        def search(self, **given: Any) -> None:
            """Search without the training that AutoKeras adds at the end."""
            space = self.oracle.get_space()
            given.pop("callbacks", None)
            self.hypermodel.set_fit_args(0, epochs=EPOCHS)
            self._prepare_model_build(space, **given)
            self.hypermodel.build(space)
            self.oracle.update_space(space)
            keras_tuner.engine.base_tuner.BaseTuner.search(self, verbose=0)

        def pre_create_trial(self) -> None:
            """End the search when there is no time for another trial."""
            if scorer.n_scored and time.monotonic() >= scorer.clock.deadline:
                raise _OutOfTimeError

        def run_trial(self, trial: Any, **_: Any) -> float:
            """Return the mean of the fold scores."""
            try:
                return scorer.score_trial(
                    dict(trial.hyperparameters.values),
                    lambda: self._try_build(trial.hyperparameters),
                )
            except Exception as error:
                failure = f"{type(error).__name__}: {str(error).strip()}"
                raise FailedTrialError(failure) from error

    return Tuner


def _build_network(values: Mapping[str, Any], *, features: int, rows: int) -> Any:
    """Return the untrained network that AutoKeras builds of a recipe's values.

    Raises ValueError naming the choices that the recipe lacks.
    """
    import keras
    import keras_tuner
    from autokeras.graph import Graph

    keras.backend.clear_session()
    inputs, output = _build_space()
    graph = Graph(inputs=[inputs], outputs=[output])
    inputs.shape, output.in_blocks[0].shape = (features,), (1,)
    inputs.dtype, inputs.batch_size, inputs.num_samples = "float32", FEWEST_BATCH_ROWS, rows
    graph.set_fit_args(0, epochs=EPOCHS)
    chosen = keras_tuner.HyperParameters()
    chosen.values = dict(values)
    model = graph.build(chosen)
    if missing := {space.name for space in chosen.space} - set(values):
        raise ValueError(f"autokeras: the recipe does not say {', '.join(sorted(missing))}")
    return model


def _take_sample_arrays(rows: Rows) -> tuple[F32, F32]:
    """Return inputs and target of a few rows, from which AutoKeras learns shapes and types."""
    few = rows.select(np.arange(min(len(rows), 64)))
    inputs = np.nan_to_num(few.inputs, posinf=0.0, neginf=0.0)
    return inputs.astype(np.float32), few.target.astype(np.float32)[:, np.newaxis]
