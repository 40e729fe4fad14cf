"""A straight line plus networks, as plain arrays, with answers inside fixed bounds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smartgrid_core.arrays import F32, F64, Bool
from smartgrid_ml.forecasting.layer_graph import LayerGraph, trace_layer_graph
from smartgrid_ml.forecasting.point import Rows
from smartgrid_ml.forecasting.standardising import (
    compute_moments,
    fit_ridge_line,
    standardise_inputs,
)

FEWEST_BATCH_ROWS = 128
STEPS_PER_EPOCH = 200
"""No more: batches grow instead, so that a year of many series takes no longer."""

STEPS_AT_ONCE = 16
"""Between two readings of the clock."""

PATIENCE = 5
STOPPING_SHARE = 0.15
STOPPING_ISSUES = 7
"""Training stops by a share of the weeks, drawn by the seed: the newest days are learned from."""

RIDGE = 1e-3
"""Penalty of the line, per row and standard deviation of an input."""

BEYOND = 0.25
"""Answers may leave the range of the targets learned from by this share of its width."""


@dataclass(frozen=True, slots=True)
class SearchedNetwork:
    """A regressor of inputs, float64 (rows, features), NaN where unknown.

    How it answers, which is all that an export has to repeat:

    1. inputs are standardised, (x - input_mean) / input_std, cut at +-STANDARD_LIMIT; unknown
       becomes 0;
    2. the line, inputs @ slopes + intercept, is one part of the answer;
    3. the mean of `networks` of the same inputs, times `residual_std`, is the other;
    4. their sum is cut at `bounds`.

    A network extrapolates without limit where its inputs leave what it was trained on, and a
    library that searches for one may hand it out half trained; 1 and 4 keep that from being seen.
    """

    input_mean: F64
    """(features,)"""
    input_std: F64
    """(features,)"""
    slopes: F64
    """(features,), of standardised inputs."""
    intercept: float
    residual_std: float
    """What the networks' answers are multiplied by."""
    bounds: tuple[float, float]
    """The least and the most that is answered."""
    networks: Sequence[LayerGraph]
    """Of one architecture, trained from different seeds."""

    def predict(self, inputs: F64) -> F64:
        """Return one number per row, float64 (rows,), of inputs, float64 (rows, features)."""
        known = standardise_inputs(inputs, mean=self.input_mean, std=self.input_std)
        line = known @ self.slopes + self.intercept
        added = sum(network.predict(known) for network in self.networks) / len(self.networks)
        return np.clip(line + added * self.residual_std, *self.bounds)


def compute_bounds(target: F64) -> tuple[float, float]:
    """Return the least and the most that is answered, from the targets learned from, (rows,).

    >>> compute_bounds(np.array([1.0, 5.0]))
    (0.0, 6.0)
    """
    least, most = float(target.min()), float(target.max())
    beyond = BEYOND * (most - least)
    # A load that is never negative is not forecast to be.
    return (max(0.0, least - beyond) if least >= 0 else least - beyond), most + beyond


@dataclass(frozen=True, slots=True)
class TrainingLimits:
    """How long one training goes on at most; it stops earlier when it gets no better."""

    epochs: int
    ends: float = float("inf")
    """Monotonic time, seconds; at least one batch is learned from."""


def train_networks(
    build: Callable[[], Any], rows: Rows, *, seeds: Sequence[int], limits: TrainingLimits
) -> SearchedNetwork:
    """Return a line through the rows and networks trained on what it leaves, one per seed.

    Args:
        build: makes a fresh, untrained network.
        rows: what is learned from, in the order of issue times.
        seeds: one per network: of its weights, its batches and the weeks by which it stops.
        limits: how long each training goes on at most.

    Returns:
        The line and the networks, each at its best epoch.
    """
    mean, std = compute_moments(rows.inputs)
    known = standardise_inputs(rows.inputs, mean=mean, std=std)
    slopes, intercept = fit_ridge_line(known, rows.target, penalty=RIDGE)
    # what the line leaves, (rows,), in units of its standard deviation for the networks
    residuals = rows.target - known @ slopes - intercept
    residual_std = float(residuals.std()) or 1.0
    samples = _Samples(
        inputs=known.astype(np.float32),
        target=(residuals / residual_std).astype(np.float32)[:, np.newaxis],
        # Errors are judged in the unit of the load; weights are 1 on average.
        weights=(rows.size / rows.size.mean()).astype(np.float32),
    )
    networks = [
        _train_network(
            build, samples, stopping=_draw_stopping_rows(rows, seed=seed), seed=seed, limits=limits
        )
        for seed in seeds
    ]
    return SearchedNetwork(
        input_mean=mean,
        input_std=std,
        slopes=slopes,
        intercept=intercept,
        residual_std=residual_std,
        bounds=compute_bounds(rows.target),
        networks=networks,
    )


@dataclass(frozen=True, slots=True)
class _Samples:
    """What one network learns from."""

    inputs: F32
    """(rows, features), standardised."""
    target: F32
    """(rows, 1), in standard deviations of what the line leaves."""
    weights: F32
    """(rows,), what an error counts."""

    def take(self, mask: Bool) -> tuple[F32, F32, F32]:
        """Return inputs, target and weights of the rows of a mask."""
        return self.inputs[mask], self.target[mask], self.weights[mask]


def _train_network(
    build: Callable[[], Any],
    samples: _Samples,
    *,
    stopping: Bool,
    seed: int,
    limits: TrainingLimits,
) -> LayerGraph:
    """Return one network at its best epoch.

    Args:
        build: makes a fresh, untrained network.
        samples: what it learns from and is judged by.
        stopping: (rows,), the rows that it is judged by and does not learn from.
        seed: of its weights and of the order of batches.
        limits: how long the training goes on at most.

    Returns:
        The network as plain arrays.
    """
    import keras

    keras.utils.set_random_seed(seed)
    model = build()
    # Small networks: most of the time goes into starting steps, not into computing them.
    model.jit_compile = False
    model.steps_per_execution = STEPS_AT_ONCE
    inputs, target, weights = samples.take(~stopping)
    model.fit(
        inputs,
        target,
        sample_weight=weights,
        validation_data=samples.take(stopping),
        batch_size=max(FEWEST_BATCH_ROWS, -(-len(inputs) // STEPS_PER_EPOCH)),
        validation_batch_size=4096,
        epochs=limits.epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True),
            keras.callbacks.TerminateOnNaN(),
            _make_time_limit(limits.ends),
        ],
    )
    return trace_layer_graph(model)


def _make_time_limit(ends: float) -> Any:
    """Return a callback that ends a training at that monotonic time, seconds, after a batch."""
    import keras

    class Until(keras.callbacks.Callback):  # type: ignore[misc] # the base class has no types
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """Look at the clock."""
            if time.monotonic() >= ends:
                self.model.stop_training = True

    return Until()


def _draw_stopping_rows(rows: Rows, *, seed: int) -> Bool:
    """Return a mask of the weeks by which training stops; of every seventh row if there is one."""
    week = rows.issue // STOPPING_ISSUES
    weeks = np.unique(week)
    drawn = np.random.default_rng(seed).permutation(weeks)
    stopping: Bool = np.isin(week, drawn[: max(1, round(len(weeks) * STOPPING_SHARE))])
    return stopping if not stopping.all() else np.arange(len(rows)) % 7 == 0
