"""One model server with the forecaster, on free ports of its own."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from smartgrid_services.model_server import launch
from smartgrid_services.model_server.launch import RunningModelServer
from smartgrid_services.model_server.options import ServerOptions

MODEL = "load_forecaster"


@contextmanager
def serving(folder: Path, model: Path, **options: Any) -> Iterator[RunningModelServer]:
    """A server whose version 1 is a copy of the model, ready to answer."""
    base = folder / "base"
    if not base.exists():
        shutil.copytree(model, base / MODEL / "1")
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = {"rest_port": one.getsockname()[1], "grpc_port": other.getsockname()[1]}
    server = launch.start_model_server(
        ServerOptions(base_path=base, exit_with_parent=True, **ports, **options),
        log=folder / "server.log",
    )
    try:
        _until_ready(server)
        yield server
    finally:
        server.stop()


def _until_ready(server: RunningModelServer) -> None:
    for _ in range(600):
        if httpx.get(f"{server.rest_url}/ready", timeout=30).status_code == httpx.codes.OK:
            return
        time.sleep(0.1)
    raise SystemExit("the model server did not become ready")
