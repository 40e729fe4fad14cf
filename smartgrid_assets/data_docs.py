"""The job that makes the pages of the Data Docs, apart from the checks that they are about."""

import dagster as dg

from smartgrid_core.protocols import QualitySuites


@dg.op(name="make_pages", out=dg.Out(dg.Nothing))
def make_pages(context: dg.OpExecutionContext, quality: dg.ResourceParam[QualitySuites]) -> None:
    """Let Great Expectations judge again what the checks judged, and write a page of each run.

    Fails if it sees something else: the check and the page would contradict each other.
    """
    pages, differences = quality.make_pages()
    context.add_output_metadata({"pages": len(pages)})
    if differences:
        raise dg.Failure(
            description=f"{len(differences)} verdicts are not those of Great Expectations: "
            + "; ".join(differences[:3]),
            metadata={"differences": dg.MetadataValue.json(differences)},
            allow_retries=False,
        )


@dg.job(
    name="make_data_docs",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "3600", "smartgrid/writes": "data_docs"},
    description="Write the Data Docs pages of what the quality checks have judged.",
)
def make_data_docs() -> None:
    """All pages that wait."""
    make_pages()


@dg.schedule(
    job=make_data_docs,
    cron_schedule="20 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def make_data_docs_hourly(
    context: dg.ScheduleEvaluationContext, quality: dg.ResourceParam[QualitySuites]
) -> dg.RunRequest | dg.SkipReason:
    """Every hour, at twenty past: the pages of what was judged since, the open day's among them."""
    if not quality.count_waiting():
        return dg.SkipReason("no check waits for its page")
    return dg.RunRequest(run_key=f"pages:{context.scheduled_execution_time.isoformat()}")
