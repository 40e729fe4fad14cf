"""Where people see how far a training is: log, MLflow, and the asset's events in Dagster."""

import time
from dataclasses import dataclass
from typing import Any

import dagster as dg

from smartgrid_core.model_protocols import ModelRegistry
from smartgrid_ml.automl.trials import Trial
from smartgrid_ml.progress import SearchProgress, TrainingProgress, to_facts

PAUSE_S = 30.0
"""A server that was started anew answers by then; waiting for it costs trials."""


@dataclass
class TrainingReporter:
    """Writes down how far the backtest of an asset is; its methods are the callbacks of it.

    Every trial becomes a line of the log, a run within the MLflow run `parent_run_id`, and an
    observation of the asset with engine, number, score (mean absolute error), seconds, error, and
    how far its search is. Begin and end of a search and each training are observations, too.
    A registry that fails is left alone for PAUSE_S: a search has a budget to use.
    """

    context: dg.AssetExecutionContext
    registry: ModelRegistry
    """Keeps the trials."""
    parent_run_id: str
    """The MLflow run of the searches."""
    _asked_again_at: float = 0.0
    """When the registry is asked again, monotonic time, seconds."""
    _search: SearchProgress | None = None
    """How far the search is to which the next trial belongs."""

    def report_progress(self, progress: TrainingProgress) -> None:
        """Write it down; that of a trial waits for the trial, which follows at once."""
        if isinstance(progress, SearchProgress) and progress.trials and not progress.has_ended:
            self._search = progress
        else:
            report_progress(self.context, progress)

    def report_trial(self, engine: str, trial: Trial) -> None:
        """Write the trial down in log, MLflow and events."""
        self.context.log.info(trial.describe(engine))
        run_id = None
        if time.monotonic() >= self._asked_again_at:
            try:
                run_id = _log_trial(self.registry, self.parent_run_id, engine=engine, trial=trial)
            except Exception as error:
                # What is found matters more than where it is written down.
                self._asked_again_at = time.monotonic() + PAUSE_S
                self.context.log.warning(
                    "trial %d of %s and those of the next %.0f s are not written to MLflow: %s",
                    *(trial.number, engine, PAUSE_S, error),
                )
        search, self._search = self._search, None
        self.context.log_event(
            dg.AssetObservation(
                asset_key=self.context.asset_key,
                description=trial.describe(engine),
                metadata={
                    **_list_figures(trial, engine=engine, run_id=run_id),
                    **(to_facts(search) if search else {}),
                },
            )
        )


def report_progress(context: dg.AssetExecutionContext, progress: TrainingProgress) -> None:
    """Make it an event of the asset that is being made, which `smartgrid demo` reads."""
    context.log_event(
        dg.AssetObservation(
            asset_key=context.asset_key,
            description=progress.describe(),
            metadata=to_facts(progress),
        )
    )


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
