"""The job that removes what nobody reads any more: Dagster's old records."""

import dagster as dg

from smartgrid_core.settings import Settings


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


@dg.job(
    name="keep_house",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "3600"},
    description="Purge Dagster's records of runs that ended a month ago.",
)
def keep_house() -> None:
    """One round."""
    purge()


keep_house_daily = dg.ScheduleDefinition(
    name="keep_house_daily",
    job=keep_house,
    cron_schedule="50 2 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 02:50, when little else runs.",
)
