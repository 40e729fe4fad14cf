"""Failed runs become alerts, once nothing will try them again."""

from collections.abc import Mapping

import dagster as dg

from smartgrid_core.alerts.decide import build_failure_alert
from smartgrid_core.protocols import AlertStore, Clock


def is_final(tags: Mapping[str, str]) -> bool:
    """Whether no automatic retry follows the run that failed with these tags."""
    return tags.get("dagster/will_retry", "false").lower() != "true"


def find_failure_text(context: dg.RunFailureSensorContext) -> str:
    """The first failed step's own error, or what the run says if no step failed."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.error is not None:
            error = data.error.cause or data.error
            return f"{event.step_key}: {error.message.strip()}"
    return context.failure_event.message or "no error text"


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=5)
def failed_runs(
    context: dg.RunFailureSensorContext,
    alert_store: dg.ResourceParam[AlertStore],
    clock: dg.ResourceParam[Clock],
) -> None:
    """Record a system_failure alert for a run that nothing will try again."""
    run = context.dagster_run
    if not is_final(run.tags):
        return
    alert_store.record(
        build_failure_alert(
            job_name=run.job_name,
            run_id=run.run_id,
            root_run_id=run.root_run_id,
            error=find_failure_text(context),
            now=clock.now(),
        )
    )
