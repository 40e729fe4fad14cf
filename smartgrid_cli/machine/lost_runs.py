"""Runs that nobody executes any more: noted before a code location starts, failed after."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from smartgrid_cli.machine.probes import make_port_probe
from smartgrid_cli.machine.warm_socket import WarmProcess

IN_PROGRESS = ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")
"""What Dagster calls a run that somebody should be executing."""
REPORT_PATIENCE_S = 60.0
"""A database under load takes its time to note that runs failed."""


@dataclass
class LostRuns:
    """Runs that nobody executes any more: noted before a code location starts, failed after.

    Dagster tries a failed run again, but only if it then finds the code location.

    Attributes:
        dagster_url: URL of Dagster's storage.
        code_port: Port of the code location.
        image: Socket of the warm image, of which runs are forked.
        environment: Variables of the program that reports the runs.
        log: The file that takes its output.
    """

    dagster_url: str
    code_port: int
    image: Path
    environment: Mapping[str, str]
    log: Path
    _noted: list[str] = field(default_factory=list)

    def note(self) -> None:
        """Remember the runs in progress; to be called before a code location starts."""
        self._noted = list_runs_in_progress(self.dagster_url)

    def are_failed(self) -> bool:
        """Return whether the code location answers and the lost runs are reported."""
        if not make_port_probe(self.code_port)():
            return False
        if self._noted:
            program = WarmProcess(
                self.image,
                "fail_lost_runs",
                ["smartgrid_cli.dagster_host.fail_lost_runs", str(self.image), *self._noted],
                environment=self.environment,
                log=self.log,
            )
            if program.wait(REPORT_PATIENCE_S) != 0:
                return False
            self._noted = []
        return True


def list_runs_in_progress(url: str) -> list[str]:
    """Return the runs that Dagster's storage believes are being executed."""
    with psycopg.connect(url) as connection:
        ready = connection.execute("SELECT to_regclass('runs')").fetchone()
        if ready is None or ready[0] is None:
            return []
        found = connection.execute(
            "SELECT run_id FROM runs WHERE status = ANY(%s) ORDER BY id", [list(IN_PROGRESS)]
        ).fetchall()
        return [str(row[0]) for row in found]
