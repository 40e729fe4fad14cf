"""A real MLflow server on SQLite, started by the command line that the product uses."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from smartgrid_io.mlflow.server import build_server_command

STARTS_WITHIN_S = 180.0


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="session")
def mlflow_url(mlflow_folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = build_server_command(
        backend_url=f"sqlite:///{mlflow_folder}/mlflow.db",
        artifact_root=str(mlflow_folder / "artifacts"),
        port=port,
    )
    log = mlflow_folder / "server.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            command.argv,
            env={**os.environ, **command.env},
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not answers(command.health_url):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"MLflow did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield command.url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
