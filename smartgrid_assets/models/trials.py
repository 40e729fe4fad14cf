"""Where people see what a search tries: log, MLflow, and the asset's events in Dagster."""

import time
from typing import Any

import dagster as dg

from smartgrid_core.model_protocols import ModelRegistry
from smartgrid_ml.automl.trials import OnTrial, Trial

PAUSE_S = 30.0
"""A server that was started anew answers by then; waiting for it costs trials."""


def make_trial_reporter(
    context: dg.AssetExecutionContext, *, registry: ModelRegistry, parent_run_id: str
) -> OnTrial:
    """What to call with the engine's name and each trial, as soon as the trial has ended.

    Every trial becomes a line of the log, a run within the MLflow run `parent_run_id`, and an
    observation of the asset with engine, number, score (mean absolute error), seconds, error.
    A registry that fails is left alone for PAUSE_S: a search has a budget to use.

    In an asset: ``make_trial_reporter(context, registry=model_registry,
    parent_run_id=mlflow.active_run().info.run_id)`` is the `on_trial` of `AutomlForecaster`.
    """
    asked_again_at = 0.0

    def report_trial(engine: str, trial: Trial) -> None:
        nonlocal asked_again_at
        context.log.info(trial.describe(engine))
        run_id = None
        if time.monotonic() >= asked_again_at:
            try:
                run_id = _log_trial(registry, parent_run_id, engine=engine, trial=trial)
            except Exception as error:
                # What is found matters more than where it is written down.
                asked_again_at = time.monotonic() + PAUSE_S
                context.log.warning(
                    "trial %d of %s and those of the next %.0f s are not written to MLflow: %s",
                    *(trial.number, engine, PAUSE_S, error),
                )
        context.log_event(
            dg.AssetObservation(
                asset_key=context.asset_key,
                description=trial.describe(engine),
                metadata=_list_figures(trial, engine=engine, run_id=run_id),
            )
        )

    return report_trial


def _log_trial(registry: ModelRegistry, parent_run_id: str, *, engine: str, trial: Trial) -> str:
    """Write the trial down within the run of its search; the id of its own MLflow run.

    Args:
        registry: Keeps it.
        parent_run_id: The run of the search.
        engine: What tried it.
        trial: What was tried, and how well it did.
    """
    return registry.log_trial(
        parent_run_id,
        name=f"{engine} {trial.number}",
        params={"engine": engine, **trial.parameters},
        fold_scores=trial.fold_scores,
        seconds=trial.seconds,
        memory_mb=trial.memory_mb,
        error=trial.error,
    )


def _list_figures(trial: Trial, *, engine: str, run_id: str | None) -> dict[str, Any]:
    """What is known of the trial, for its observation."""
    figures = {
        "engine": engine,
        "number": trial.number,
        "score": trial.score,
        "seconds": round(trial.seconds, 1),
        "memory_mb": round(trial.memory_mb),
        "error": trial.error,
        "mlflow_run": run_id,
    }
    return {name: value for name, value in figures.items() if value is not None}
