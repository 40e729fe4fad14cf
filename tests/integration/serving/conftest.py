"""A model server with an own base path, and SavedModels to put there; both once per worker."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.publisher import publish, wait_until_available
from smartgrid_services.model_server import launch
from smartgrid_services.model_server.launch import RunningModelServer
from smartgrid_services.model_server.options import ServerOptions


@dataclass(frozen=True)
class Serving:
    """The running server and what a test needs to use it."""

    server: RunningModelServer
    base: Path
    saved_models: Path
    client: ModelServerClient

    def publish(self, saved_model: str, *, model: str, version: int = 1) -> Path:
        """Publish one of the made SavedModels and wait until it answers."""
        source = self.saved_models / saved_model
        folder = Path(publish(source, base=str(self.base), model=model, version=version))
        wait_until_available(self.client, model, version, timeout=60)
        return folder


@pytest.fixture(scope="session")
def free_ports() -> Callable[[], tuple[int, int]]:
    """Finds two ports that nobody has now."""

    def find() -> tuple[int, int]:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            return one.getsockname()[1], other.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def start_server(free_ports: Callable[[], tuple[int, int]]) -> Callable[..., RunningModelServer]:
    """Starts one more server on free ports; the test stops it."""

    def start(base: Path, **options: object) -> RunningModelServer:
        rest_port, grpc_port = free_ports()
        usual = {"rest_port": rest_port, "grpc_port": grpc_port, "poll_seconds": 0.2}
        usual["base_path"] = base
        settings = ServerOptions(exit_with_parent=True, **{**usual, **options})
        return launch.start(settings, log=base.parent / f"{base.name}.log")

    return start


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small real SavedModels, made by TensorFlow in a process of its own."""
    folder = tmp_path_factory.mktemp("saved_models")
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("make_models.py")), str(folder)],
        check=True,
        timeout=240,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return folder


@pytest.fixture(scope="session")
def serving(
    tmp_path_factory: pytest.TempPathFactory,
    start_server: Callable[..., RunningModelServer],
    request: pytest.FixtureRequest,
) -> Iterator[Serving]:
    """One server for all tests of a worker; each test uses a model name of its own."""
    base = tmp_path_factory.mktemp("serving") / "models"
    base.mkdir()
    with ThreadPoolExecutor(1) as beside:
        starting = beside.submit(start_server, base)
        # Made while the server imports TensorFlow, which takes as long.
        saved_models = request.getfixturevalue("saved_models")
        server = starting.result()
    with ModelServerClient(server.grpc_target, server.rest_url, timeout=20) as client:
        yield Serving(server=server, base=base, saved_models=saved_models, client=client)
    server.stop()


@pytest.fixture
def model() -> str:
    """A model name that no other test uses."""
    return f"model_{uuid.uuid4().hex[:8]}"
