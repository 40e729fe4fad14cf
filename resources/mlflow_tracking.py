"""dagster-mlflow's tracking run of a Dagster run, ended with the status that the run deserves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import dagster as dg

from smartgrid_core.settings import Settings

EXPERIMENT = "load_forecaster"
"""One experiment for all that is learned about load: people compare its runs side by side."""


class MlflowTrackingResource(dg.ConfigurableResource[Any]):
    """The MLflow module with an active run named after the Dagster run."""

    settings: dg.ResourceDependency[Settings]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Any]:
        """Run dagster-mlflow's own resource; a step failure ends the MLflow run as FAILED.

        The library's own hook ends the run of a failed job as FINISHED. Its import takes seconds
        that no code location should pay.
        """
        from dagster_mlflow import mlflow_tracking

        configured = context.replace_config(
            {"experiment_name": EXPERIMENT, "mlflow_tracking_uri": self.settings.mlflow_url}
        )
        start = cast(Callable[[dg.InitResourceContext], Iterator[Any]], mlflow_tracking.resource_fn)
        for mlflow in start(configured):
            try:
                yield mlflow
            finally:
                mlflow.end_run(status="FAILED" if _has_failed(context) else "FINISHED")


def _has_failed(context: dg.InitResourceContext) -> bool:
    if context.instance is None or context.run is None:
        return False
    failures = context.instance.all_logs(
        context.run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
    )
    return bool(failures)
