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
import psutil

from smartgrid_core.arrays import F64
from smartgrid_ml.automl.engine import Report
from smartgrid_ml.automl.searched_network import RIDGE, SearchedNetwork, compute_bounds
from smartgrid_ml.automl.trials import INNER_FOLDS, Budget, Recipe, Trial
from smartgrid_ml.forecasting.layer_graph import LayerGraph, trace_layer_graph
from smartgrid_ml.forecasting.point import Rows
from smartgrid_ml.forecasting.standardising import (
    compute_moments,
    fit_ridge_line,
    standardise_inputs,
)
from smartgrid_ml.tensorflow_runtime import tensorflow

UNITS = [16, 32, 64, 128, 256]
MOST_PARAMETERS = 200_000
"""Of a network: a larger one takes minutes per training and learns no more of such tables."""

MOST_ROWS = 60_000
"""Of one training in a search; a sample of more tells architectures apart as well."""

FEWEST_BATCH_ROWS = 128
STEPS_PER_EPOCH = 200
"""No more: batches grow instead, so that a year of many series takes no longer."""

STEPS_AT_ONCE = 16
"""Between two looks at the clock."""

EPOCHS = 40
PATIENCE = 5
NETWORKS = 3
"""Whose mean is the model: single ones differ by a few percent by nothing but their seed."""

STOPPING_SHARE = 0.15
STOPPING_ISSUES = 7
"""Training stops by a share of the weeks, drawn by the seed: the newest days are learned from."""

TRIAL_SHARE = 1 / 16
"""Of the budget, at most, for the training of one fold: a small budget too compares a few."""

MARGIN_S = 2.0
"""Before the end of the budget, for the last trial to be scored and told."""

MOST_FAILED_TRIALS = 1_000
"""Failures in a row after which AutoKeras gives up: each is a trial with its error."""


class _OutOfTimeError(Exception):
    """The budget is used up."""


@dataclass(slots=True)
class _Clock:
    """When the search ends, and how long one training may take."""

    deadline: float
    most_s: float

    @classmethod
    def of(cls, budget: Budget) -> "_Clock":
        return cls(time.monotonic() + budget.seconds - MARGIN_S, budget.seconds * TRIAL_SHARE)

    def training_ends(self) -> float:
        return min(self.deadline, time.monotonic() + self.most_s)


def search(rows: Rows, *, budget: Budget, seed: int, report: Report) -> None:
    """Let AutoKeras propose networks until the budget is used or it knows no other.

    A trial's fold scores are those of `rows.split_folds(INNER_FOLDS)`, every fold: mean absolute
    error in load units on the later rows, of a network trained on the earlier ones alone, which
    stopped by a part of these; one network, where `train` takes the mean of several. A long table
    is sampled for training, never for scoring. A training ends after a sixteenth of the budget,
    whatever it has reached.
    """
    clock = _Clock.of(budget)
    tensorflow()
    import keras

    keras.utils.set_random_seed(seed)
    folds = list(rows.split_folds(INNER_FOLDS))
    if not folds:
        raise ValueError("autokeras: too few issue times to score a trial on later ones")
    auto_model = _make_auto_model(folds, seed=seed, clock=clock, most=budget.trials, report=report)
    train, held_out = folds[-1]
    try:
        # What AutoKeras is given tells it the shapes; the tuner knows the folds.
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
    """NETWORKS networks of a reported recipe, each trained on all rows but the weeks it stops by.

    Raises ValueError for a recipe that does not say all that the network is made of.
    """
    tensorflow()
    return _train_networks(
        lambda: _build_network(recipe["hyperparameters"], features=len(rows.names), rows=len(rows)),
        rows,
        seeds=range(seed, seed + NETWORKS),
    )


def _build_space() -> tuple[Any, Any]:
    """Input and output of the space that is searched: a dense block, with or without a short cut.

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


def _make_auto_model(
    folds: list[tuple[Rows, Rows]],
    *,
    seed: int,
    clock: _Clock,
    most: int | None,
    report: Report,
) -> Any:
    import autokeras
    import keras
    import keras_tuner
    from autokeras.tuners.greedy import Greedy
    from keras_tuner.errors import FailedTrialError

    class Tuner(Greedy):  # type: ignore[misc] # the base class has no types
        """Proposes as AutoKeras does; scores as every engine does."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.oracle.max_consecutive_failed_trials = MOST_FAILED_TRIALS
            self.tried = 0

        def search(self, **given: Any) -> None:
            """Without the training that AutoKeras adds at the end."""
            space = self.oracle.get_space()
            given.pop("callbacks", None)
            self.hypermodel.set_fit_args(0, epochs=EPOCHS)
            self._prepare_model_build(space, **given)
            self.hypermodel.build(space)
            self.oracle.update_space(space)
            keras_tuner.engine.base_tuner.BaseTuner.search(self, verbose=0)

        def pre_create_trial(self) -> None:
            """End when there is no time for another."""
            if time.monotonic() >= clock.deadline:
                raise _OutOfTimeError

        def run_trial(self, trial: Any, **_: Any) -> float:
            """Mean of the fold scores; told as soon as it is known."""
            began = time.monotonic()
            self.tried += 1
            values = dict(trial.hyperparameters.values)
            told = Trial(self.tried, values, recipe={"hyperparameters": values})
            # The seed of a training must not decide what AutoKeras draws next.
            drawn = np.random.get_state()
            try:
                scores = [self._score(trial, *fold) for fold in folds]
                told = replace(told, fold_scores=scores)
            except Exception as error:
                failed = f"{type(error).__name__}: {str(error).strip()}"
                told = replace(told, recipe=None, error=failed)
                raise FailedTrialError(failed) from error
            finally:
                np.random.set_state(drawn)
                report(
                    replace(
                        told, seconds=time.monotonic() - began, memory_mb=_measure_resident_mb()
                    )
                )
            return float(np.mean(scores))

        def _score(self, trial: Any, learned: Rows, later: Rows) -> float:
            model = _train_networks(
                lambda: self._try_build(trial.hyperparameters),
                _sample_rows(learned, seed=seed),
                seeds=[seed],
                ends=clock.training_ends(),
            )
            missed = np.abs(model.predict(later.inputs) - later.target) * later.size
            score = float(missed.mean())
            if not np.isfinite(score):
                raise FloatingPointError("the network's answers are not finite")
            return score

    inputs, output = _build_space()
    keras.config.disable_interactive_logging()
    return autokeras.AutoModel(
        inputs,
        output,
        project_name="autokeras",
        directory=str(Path.cwd()),
        overwrite=True,
        max_trials=most or 10**6,
        tuner=Tuner,
        seed=seed,
        max_model_size=MOST_PARAMETERS,
    )


def _build_network(values: Mapping[str, Any], *, features: int, rows: int) -> Any:
    """The network that AutoKeras builds of a recipe's values."""
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
    if unsaid := {space.name for space in chosen.space} - set(values):
        raise ValueError(f"autokeras: the recipe does not say {', '.join(sorted(unsaid))}")
    return model


def _train_networks(
    build: Callable[[], Any], rows: Rows, *, seeds: Sequence[int], ends: float = float("inf")
) -> SearchedNetwork:
    """A line through the rows, and what `build` makes trained on what it leaves, once per seed."""
    mean, std = compute_moments(rows.inputs)
    known = standardise_inputs(rows.inputs, mean=mean, std=std)
    slopes, intercept = fit_ridge_line(known, rows.target, penalty=RIDGE)
    left = rows.target - known @ slopes - intercept
    spread = float(left.std()) or 1.0
    networks = [
        _train_network(
            build,
            (known.astype(np.float32), (left / spread).astype(np.float32)[:, np.newaxis]),
            # Errors are judged in the unit of the load; weights are 1 on average.
            weights=(rows.size / rows.size.mean()).astype(np.float32),
            stopping=_draw_stopping_rows(rows, seed=seed),
            seed=seed,
            ends=ends,
        )
        for seed in seeds
    ]
    return SearchedNetwork(
        input_mean=mean,
        input_std=std,
        slopes=slopes,
        intercept=intercept,
        residual_std=spread,
        bounds=compute_bounds(rows.target),
        networks=networks,
    )


def _train_network(
    build: Callable[[], Any],
    rows: tuple[Any, Any],
    *,
    weights: Any,
    stopping: Any,
    seed: int,
    ends: float,
) -> LayerGraph:
    """One network at its best epoch, judged by the rows that are `stopping`."""
    import keras

    keras.utils.set_random_seed(seed)
    model = build()
    # Small networks: most of the time goes into starting steps, not into computing them.
    model.jit_compile = False
    model.steps_per_execution = STEPS_AT_ONCE
    inputs, target = rows
    learned = ~stopping
    model.fit(
        inputs[learned],
        target[learned],
        sample_weight=weights[learned],
        validation_data=(inputs[stopping], target[stopping], weights[stopping]),
        batch_size=max(FEWEST_BATCH_ROWS, -(-int(learned.sum()) // STEPS_PER_EPOCH)),
        validation_batch_size=4096,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True),
            keras.callbacks.TerminateOnNaN(),
            _make_time_limit(ends),
        ],
    )
    return trace_layer_graph(model)


def _make_time_limit(ends: float) -> Any:
    """A callback that ends a training at that monotonic time, after one batch at the earliest."""
    import keras

    class Until(keras.callbacks.Callback):  # type: ignore[misc] # the base class has no types
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """Look at the clock."""
            if time.monotonic() >= ends:
                self.model.stop_training = True

    return Until()


def _draw_stopping_rows(rows: Rows, *, seed: int) -> Any:
    """A mask of the weeks by which training stops; every row once if there is only one week."""
    week = rows.issue // STOPPING_ISSUES
    weeks = np.unique(week)
    drawn = np.random.default_rng(seed).permutation(weeks)
    stopping = np.isin(week, drawn[: max(1, round(len(weeks) * STOPPING_SHARE))])
    return stopping if not stopping.all() else np.arange(len(rows)) % 7 == 0


def _sample_rows(rows: Rows, *, seed: int) -> Rows:
    if len(rows) <= MOST_ROWS:
        return rows
    places = np.random.default_rng(seed).choice(len(rows), MOST_ROWS, replace=False)
    return rows.select(np.sort(places))


def _take_sample_arrays(rows: Rows) -> tuple[Any, Any]:
    """A few rows as AutoKeras takes them, to learn shapes and types from."""
    few = rows.at(np.arange(min(len(rows), 64)))
    inputs: F64 = np.nan_to_num(few.inputs, posinf=0.0, neginf=0.0)
    return inputs.astype(np.float32), few.target.astype(np.float32)[:, np.newaxis]


def _measure_resident_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)
