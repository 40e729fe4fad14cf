"""dagster-mlflow's tracking run of a Dagster run, ended with the status that the run deserves."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

EXPERIMENT = "load_forecaster"
"""One experiment for all that is learned about load: people compare its runs side by side."""


@dg.resource(required_resource_keys={"settings"})
def mlflow_tracking(context: dg.InitResourceContext) -> Iterator[Any]:
    """The MLflow module with an active run named after the Dagster run.

    The library's own hook ends the run of a failed job as FINISHED; here a step failure ends it
    as FAILED. dagster-mlflow takes seconds to import that no code location should pay.
    """
    from dagster_mlflow import mlflow_tracking as tracking

    configured = context.replace_config(
        {
            "experiment_name": EXPERIMENT,
            "mlflow_tracking_uri": context.resources.settings.mlflow_url,
        }
    )
    for mlflow in tracking.resource_fn(configured):
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
