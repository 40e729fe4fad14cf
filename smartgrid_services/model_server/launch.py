"""Starts a model server from another process and waits for it; imports no TensorFlow."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from smartgrid_core.errors import ServerError
from smartgrid_services.model_server.options import ServerOptions

_POLL_SECONDS = 0.1
_STOP_SECONDS = 15.0
_LOG_TAIL = 2000
# A proxy from the environment has nothing to say about a neighbour.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class RunningModelServer:
    """A model server process and where it answers.

    Attributes:
        process: The process that was started.
        rest_url: Base URL of REST, such as http://127.0.0.1:8501.
        grpc_target: host:port of gRPC.
    """

    process: subprocess.Popen[bytes]
    rest_url: str
    grpc_target: str

    def stop(self) -> int:
        """Ask it to end, insist after 15 s; returns its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def build_command(options: ServerOptions) -> list[str]:
    """The command that runs a model server with this interpreter."""
    return [sys.executable, "-m", "smartgrid_services.model_server", *options.to_arguments()]


def start_model_server(
    options: ServerOptions, *, log: Path | None = None, timeout: float = 120.0
) -> RunningModelServer:
    """Start the process and wait until it serves; its output is appended to `log`.

    Raises ServerError with the end of the log if it ends or does not serve in `timeout` seconds.
    """
    sink = subprocess.DEVNULL if log is None else log.open("ab")
    try:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            build_command(options), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        )
    finally:
        if not isinstance(sink, int):
            sink.close()
    server = RunningModelServer(
        process=process,
        rest_url=f"http://{options.host}:{options.rest_port}",
        grpc_target=f"{options.host}:{options.grpc_port}",
    )
    try:
        wait_until_serving(server, log=log, timeout=timeout)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return server


def wait_until_serving(
    server: RunningModelServer, *, log: Path | None = None, timeout: float = 120.0
) -> None:
    """Return when `/health` says "serving": TensorFlow is in and both ports answer.

    That takes as long as TensorFlow's import; the models may still be loading (`/ready`).
    """
    deadline = time.monotonic() + timeout
    while read_health(server.rest_url) != "serving":
        code = server.process.poll()
        if code is not None:
            raise ServerError(f"the model server ended with code {code}{_read_tail(log)}")
        if time.monotonic() >= deadline:
            raise ServerError(
                f"the model server does not serve at {server.rest_url} after {timeout:g} s"
                f"{_read_tail(log)}"
            )
        time.sleep(_POLL_SECONDS)


def read_health(rest_url: str, *, timeout: float = 2.0) -> str | None:
    """What `/health` says, "starting" or "serving"; None if nobody answers."""
    try:
        with _DIRECT.open(f"{rest_url}/health", timeout=timeout) as answer:
            return str(json.load(answer)["status"])
    except (OSError, ValueError, KeyError):
        return None


def _read_tail(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    return ":\n" + log.read_text(errors="replace")[-_LOG_TAIL:]
