"""TPOT as an engine: genetic programming over pipelines of estimators that can be exported."""

import contextlib
import itertools
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.engine import Report
from smartgrid_ml.automl.folds import draw_rows, split_inner_folds
from smartgrid_ml.automl.memory import measure_memory_mb
from smartgrid_ml.automl.recipes import build_estimator, flatten_recipe, to_recipe
from smartgrid_ml.automl.tpot_space import build_search_space, generate_pipelines
from smartgrid_ml.automl.trials import Budget, Recipe, Trial
from smartgrid_ml.forecasting.point import PointModel, Rows

URL_SETTING = "SMARTGRID_DASK_URL"
"""The address of a Dask scheduler (tcp://host:8786) whose workers evaluate, this package installed
on each; unset: workers of our own, in this process, one per core."""

SEARCHED_ROWS = 20_000
"""Of longer tables each fold trains and validates on so many at most, drawn at random once: which
pipeline is better shows on them, and there is time to try some dozens. The winner is trained on
more."""

TRAINED_ROWS = 150_000
"""At most, as boosting takes."""

POPULATION, FIRST_POPULATION = 12, 8
"""Pipelines per generation: small ones get further within minutes. `generate_pipelines` makes the
first."""

PATIENCE = 0.15
LEAST_PATIENCE_S = 20.0
"""The share of the budget after which a pipeline that has not done its first fold is given up; of
a short budget no less than so many seconds, or a busy machine would finish none."""

Folds = Sequence[tuple[Rows, Rows]]
"""Per fold the rows to train on and the rows to score on."""


def search(rows: Rows, *, budget: Budget, seed: int, report: Report) -> None:
    """Breed pipelines until the budget is used.

    The best known kinds are tried first, on at most SEARCHED_ROWS rows per fold. Evaluations run on
    the cluster that the environment variable SMARTGRID_DASK_URL names, or here.

    Args:
        rows: what is learned from.
        budget: how long it takes; of the pipelines, each gets a share until its first fold is done.
        seed: of the samples, of what TPOT draws and of every estimator.
        report: called with every trial as soon as a worker has scored it.

    Raises:
        SmartGridError: If the rows are too few for a fold, or the cluster has no worker.
    """
    from tpot.evolvers import BaseEvolver

    random = np.random.default_rng(seed)
    folds = [
        (
            draw_rows(train, most=SEARCHED_ROWS, random=random),
            draw_rows(validate, most=SEARCHED_ROWS, random=random),
        )
        for train, validate in split_inner_folds(rows, engine="tpot")
    ]
    space = build_search_space()
    first = list(itertools.islice(generate_pipelines(space, random), FIRST_POPULATION))
    # TPOT evaluates the last of a generation first.
    individuals = itertools.chain(reversed(first), _generate_individuals(space, random))
    with _open_cluster() as client, _report_trials(client, report) as topic:
        evolver = BaseEvolver(
            individual_generator=individuals,
            objective_functions=[evaluate_individual],
            objective_function_weights=[-1],
            objective_names=["mean absolute error"],
            objective_kwargs={
                "folds": client.scatter(folds),
                "seed": seed,
                "topic": topic,
                "patience_s": max(LEAST_PATIENCE_S, PATIENCE * budget.seconds),
                "known": _find_known_features(folds),
            },
            population_size=POPULATION,
            initial_population_size=FIRST_POPULATION,
            generations=None,
            max_time_mins=budget.seconds / 60,
            # Its own limit runs an evaluation in a thread that knows of no worker.
            max_eval_time_mins=float("inf"),
            client=client,
            n_jobs=len(client.cluster.workers),
            rng=random,
        )
        evolver.optimize()


def train(recipe: Recipe, rows: Rows, *, seed: int) -> PointModel:
    """Return the pipeline of a recipe, trained on all rows, or on TRAINED_ROWS drawn at random."""
    drawn = draw_rows(rows, most=TRAINED_ROWS, random=np.random.default_rng(seed))
    model: PointModel = build_estimator(recipe, seed=seed, threads=_count_cores()).fit(
        drawn.inputs, drawn.target
    )
    return model


def evaluate_individual(
    individual: Any,
    *,
    folds: Folds,
    seed: int,
    topic: str,
    patience_s: float,
    known: Sequence[int],
    **_: Any,
) -> float:
    """Return the mean absolute error over the folds, in the unit of the load.

    Runs on a worker, and reports the trial to the search by an event of the cluster.

    Args:
        individual: what TPOT bred; it exports a pipeline.
        folds: rows to train on and rows to score on.
        seed: of every estimator.
        topic: the name of the cluster's events.
        patience_s: seconds that a fold may take while others wait.
        known: the features that the pipeline sees, by place.
        _: what TPOT hands on besides.

    Returns:
        The mean of the fold scores.

    Raises:
        Exception: Whatever keeps the pipeline from being scored; it is also in the event.
    """
    from distributed import get_worker
    from sklearn.compose import ColumnTransformer

    started = time.monotonic()
    worker = get_worker()
    recipe: Recipe = {}
    trial: dict[str, Any] = {"fold_scores": [], "error": None}
    try:
        pipeline = individual.export_pipeline()
        if len(known) < folds[0][0].inputs.shape[1]:
            only = ColumnTransformer([("known", "passthrough", list(known))])
            pipeline.steps.insert(0, ("known", only))
        recipe = to_recipe(pipeline)
        trial["fold_scores"] = list(
            score_recipe(
                recipe, folds, seed=seed, threads=worker.state.nthreads, patience_s=patience_s
            )
        )
        return float(np.mean(trial["fold_scores"]))
    except Exception as failed:
        trial["error"] = f"{type(failed).__name__}: {failed}"[:500]
        raise
    finally:
        trial |= {
            "parameters": flatten_recipe(recipe) if recipe else {},
            "recipe": recipe if trial["error"] is None else None,
            "seconds": time.monotonic() - started,
            "memory_mb": measure_memory_mb(),
        }
        worker.log_event(topic, json.dumps(trial))


def score_recipe(
    recipe: Recipe, folds: Folds, *, seed: int, threads: int, patience_s: float
) -> Iterator[float]:
    """Yield the mean absolute error on each fold, in the unit of the load.

    Args:
        recipe: the pipeline.
        folds: rows to train on and rows to score on.
        seed: of every estimator.
        threads: that an estimator may use.
        patience_s: seconds that a fold may take while others wait.

    Yields:
        One error per fold.

    Raises:
        SmartGridError: If an answer is not finite, or a fold takes longer than `patience_s` while
            others wait.
    """
    for n_left, (training, validated) in zip(range(len(folds))[::-1], folds, strict=True):
        started = time.monotonic()
        with threadpool_limits(threads):  # not every estimator has a parameter for it
            model = build_estimator(recipe, seed=seed, threads=threads)
            model.fit(training.inputs, training.target)
        answers = np.asarray(model.predict(validated.inputs), np.float64).reshape(-1)
        if not np.isfinite(answers).all():
            raise SmartGridError("tpot: the pipeline answers what is no finite number")
        yield float(np.mean(np.abs(answers - validated.target) * validated.size))
        if n_left and time.monotonic() - started > patience_s:
            raise SmartGridError(f"tpot: one fold takes longer than {patience_s:.0f} s")


@contextlib.contextmanager
def _open_cluster() -> Iterator[Any]:
    """Yield a client of the cluster that is named, or of workers of our own.

    Raises SmartGridError if the named cluster has no worker.
    """
    from distributed import Client, LocalCluster

    url = os.environ.get(URL_SETTING)
    if url:
        with Client(url) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"]
            if not workers:
                raise SmartGridError(
                    f"tpot: the Dask cluster at {url} ({URL_SETTING}) has no worker"
                )
            # TPOT asks a cluster object how many evaluations to hand out at a time.
            client.cluster = SimpleNamespace(workers=workers)
            yield client
        return
    with (
        LocalCluster(
            processes=False,
            # Two pipelines at a time are faster than one by two threads that wait for each other.
            n_workers=_count_cores(),
            threads_per_worker=1,
            # The parent process watches the memory of us all.
            memory_limit=0,
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextlib.contextmanager
def _report_trials(client: Any, report: Report) -> Iterator[str]:
    """Yield the topic of the trials' events; report every trial, the last ones at the end."""
    topic = f"smartgrid-trials-{uuid.uuid4()}"
    numbers = itertools.count()
    received = threading.Semaphore(0)

    def receive(event: tuple[float, str]) -> None:
        report(Trial(number=next(numbers), **json.loads(event[1])))
        received.release()

    client.subscribe_topic(topic, receive)
    try:
        yield topic
        for _ in client.get_events(topic):
            received.acquire(timeout=10)
    finally:
        client.unsubscribe_topic(topic)


def _generate_individuals(space: Any, random: np.random.Generator) -> Iterator[Any]:
    while True:
        yield space.generate(random)


def _find_known_features(folds: Folds) -> list[int]:
    """Return the places of features that some row of every training part knows."""
    known = [~np.isnan(training.inputs).all(axis=0) for training, _ in folds]
    return [int(place) for place in np.flatnonzero(np.all(known, axis=0))]


def _count_cores() -> int:
    """Return how many cores there are."""
    return os.cpu_count() or 1
