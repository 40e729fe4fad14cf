"""Marks runs as failed whose processes are gone, so that Dagster tries them again.

Run as a program (`python -m smartgrid_cli.reap`), with DAGSTER_HOME and its database set.
"""

import psycopg

LOST = "The process that executed this run is gone: it was killed, or everything was stopped."
IN_PROGRESS = ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")


def has_runs_in_progress(url: str) -> bool:
    """Does Dagster's storage hold a run that it believes is being executed?"""
    with psycopg.connect(url) as connection:
        ready = connection.execute("SELECT to_regclass('runs')").fetchone()
        if ready is None or ready[0] is None:
            return False
        found = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM runs WHERE status = ANY(%s))", [list(IN_PROGRESS)]
        ).fetchone()
        return found is not None and bool(found[0])


def fail_lost_runs() -> list[str]:
    """Report every run in progress as failed (one that was being cancelled as cancelled).

    Only right while no code location runs: nobody executes anything then. Returns the run ids.
    """
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus[status] for status in IN_PROGRESS])
        )
        for run in runs:
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, LOST)
            else:
                instance.report_run_failed(run, LOST)
        return [run.run_id for run in runs]


if __name__ == "__main__":
    for run_id in fail_lost_runs():
        print(f"run {run_id}: {LOST}")
