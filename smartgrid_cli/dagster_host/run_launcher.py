"""Runs of the graph start as forks of the warm image: in milliseconds, beside the code location."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value

from smartgrid_cli.machine.warm_socket import WarmProcess, name_run, send_signal
from smartgrid_core.errors import ServerError

LOG = logging.getLogger(__name__)
REPORT_PAUSE_S = 2.0
"""Between two tries to report the end of a run to a database that is away."""
REPORT_TRIES = 60


class WarmRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Starts each run as a process of its own by the warm image.

    A process that ends without having reported its run's end has it reported as failed, at once by
    the launcher that started it; if that is gone too, Dagster's run monitoring finds out.

    Args:
        socket: The image's socket.
        inst_data: How Dagster configures the launcher.
    """

    def __init__(self, socket: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._socket = Path(socket)
        self._inst_data = inst_data
        self.on_end: Callable[[], None] = lambda: None
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """How Dagster configured the launcher."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the launcher's configuration in `dagster.yaml`."""
        return {"socket": dg.StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """Return the launcher that `dagster.yaml` describes."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the run's process. Raises ServerError if the image does not answer."""
        run = context.dagster_run
        origin = run.job_code_origin
        if origin is None:
            raise ServerError(f"run {run.run_id} does not say where its job stands")
        arguments = ExecuteRunArgs(
            job_origin=origin,
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=None,
        )
        process = WarmProcess(
            self._socket,
            name_run(run.run_id),
            ["dagster", "api", "execute_run", serialize_value(arguments)],
            environment=os.environ,
            log=None,
        )
        threading.Thread(
            target=self._watch, args=(run.run_id, process), name=name_run(run.run_id), daemon=True
        ).start()

    def terminate(self, run_id: str) -> bool:
        """Ask the run's process to end; False if there is none."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return send_signal(self._socket, name_run(run_id), signal.SIGTERM) is not None

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster's monitoring asks for the health of runs in progress."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the run's process lives; unknown while the image does not answer."""
        try:
            pid = send_signal(self._socket, name_run(run.run_id), 0)
        except ServerError as error:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, str(error))
        if pid is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "its process is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING, f"process {pid}")

    def _watch(self, run_id: str, process: WarmProcess) -> None:
        """Wait for the run's process; a run that it left unfinished is reported as failed."""
        code = process.wait()
        try:
            for _ in range(REPORT_TRIES):
                try:
                    self._report_unfinished(run_id, code)
                    return
                except Exception as error:  # whatever a database that restarts answers with
                    LOG.warning("the end of run %s cannot be reported: %s", run_id, error)
                    time.sleep(REPORT_PAUSE_S)
        finally:
            self.on_end()

    def _report_unfinished(self, run_id: str, code: int) -> None:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        text = f"The process that executed this run {how} without reporting its end."
        if run.status == dg.DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, text)
        else:
            self._instance.report_run_failed(run, text)
