"""Marks runs as failed whose processes are gone, so that Dagster tries them again.

Run as a program (`python -m smartgrid_cli.dagster_host.fail_lost_runs SOCKET RUN_ID ...`), with
DAGSTER_HOME and its database set, once the code location answers: a retry that is asked for while
it does not is lost.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from smartgrid_cli.machine.lost_runs import IN_PROGRESS
from smartgrid_cli.machine.warm_socket import name_run, send_signal

LOST = "The process that executed this run is gone: it was killed, or everything was stopped."


def fail_lost_runs(run_ids: Iterable[str], *, socket: Path) -> list[str]:
    """Report these runs as failed (one that was being cancelled as cancelled), if still lost.

    A run whose process the warm image at `socket` knows is left alone. Returns the run ids that
    were reported.
    """
    import dagster as dg

    reported = []
    with dg.DagsterInstance.get() as instance:
        for run_id in run_ids:
            run = instance.get_run_by_id(run_id)
            if run is None or run.status.value not in IN_PROGRESS:
                continue
            if send_signal(socket, name_run(run_id), 0) is not None:
                continue
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, LOST)
            else:
                instance.report_run_failed(run, LOST)
            reported.append(run_id)
    return reported


if __name__ == "__main__":
    for lost in fail_lost_runs(sys.argv[2:], socket=Path(sys.argv[1])):
        print(f"run {lost}: {LOST}")
