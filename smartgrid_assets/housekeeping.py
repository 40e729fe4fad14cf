"""The job that removes what nobody reads any more: Dagster's old records, old memories."""

from datetime import timedelta

import dagster as dg

from smartgrid_core.contracts.anomalies import AnomalyStates
from smartgrid_core.protocols import Lake
from smartgrid_core.settings import Settings

STATES_KEPT = timedelta(days=60)
"""Anomalies look six weeks back for a state; an older day that is judged again reads its readings.
A state of 100,000 meters weighs some 0.4 GB."""


@dg.op(name="purge_old_records", out=dg.Out(dg.Nothing))
def purge(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    """Log events and compute logs of runs that ended a month ago; materialisations stay."""
    from smartgrid_io.dagster_storage import purge_compute_logs, purge_events

    url, folder = settings.dagster_url, settings.compute_logs
    context.add_output_metadata(
        {
            "events": purge_events(url.get_secret_value()) if url else 0,
            "compute_logs": purge_compute_logs(folder) if folder else 0,
        }
    )


@dg.op(name="forget_old_states", out=dg.Out(dg.Nothing))
def forget_states(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
    """What days remembered for the next, once the newest is two months further."""
    days = lake.days(AnomalyStates)
    forgotten = lake.delete_before(AnomalyStates, before=days[-1] - STATES_KEPT) if days else 0
    context.add_output_metadata({"days": forgotten})


@dg.job(
    name="keep_house",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "3600"},
    description="Purge Dagster's records of runs that ended a month ago, and old memories of days.",
)
def keep_house() -> None:
    """One round."""
    purge()
    forget_states()


keep_house_daily = dg.ScheduleDefinition(
    name="keep_house_daily",
    job=keep_house,
    cron_schedule="50 2 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 02:50, when little else runs.",
)
