"""Marks runs as failed whose processes are gone, so that Dagster tries them again.

Run as a program (`python -m smartgrid_cli.machine.fail_lost_runs PORT RUN_ID ...`), with
DAGSTER_HOME and its database set, once the code location on PORT answers: a retry that is asked for
while it does not is lost.
"""

import sys
from collections.abc import Iterable

import psycopg

LOST = "The process that executed this run is gone: it was killed, or everything was stopped."
IN_PROGRESS = ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")


def list_runs_in_progress(url: str) -> list[str]:
    """Return the runs that Dagster's storage believes are being executed.

    While no code location runs, nobody does execute them.
    """
    with psycopg.connect(url) as connection:
        ready = connection.execute("SELECT to_regclass('runs')").fetchone()
        if ready is None or ready[0] is None:
            return []
        found = connection.execute(
            "SELECT run_id FROM runs WHERE status = ANY(%s) ORDER BY id", [list(IN_PROGRESS)]
        ).fetchall()
        return [str(row[0]) for row in found]


def fail_lost_runs(run_ids: Iterable[str], *, port: int) -> list[str]:
    """Report these runs as failed (one that was being cancelled as cancelled), if still lost.

    A run that was launched anew on the code location at `port` since is left alone. Returns the
    run ids that were reported.
    """
    import dagster as dg
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
    from dagster._serdes import deserialize_value

    server = DagsterGrpcClient(host="127.0.0.1", port=port)
    reported = []
    with dg.DagsterInstance.get() as instance:
        for run_id in run_ids:
            run = instance.get_run_by_id(run_id)
            if run is None or run.status.value not in IN_PROGRESS:
                continue
            answer = server.can_cancel_execution(CanCancelExecutionRequest(run_id=run_id))
            if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
                continue
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, LOST)
            else:
                instance.report_run_failed(run, LOST)
            reported.append(run_id)
    return reported


if __name__ == "__main__":
    for lost in fail_lost_runs(sys.argv[2:], port=int(sys.argv[1])):
        print(f"run {lost}: {LOST}")
