"""A model server with an own base path, and SavedModels to put there; both once per worker."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.label_mover import LabelMover
from smartgrid_io.serving.model_repository import ModelServerRepository, ensure_config
from smartgrid_io.serving.publisher import publish_version, wait_until_available
from smartgrid_services.model_server import launch
from smartgrid_services.model_server.launch import RunningModelServer
from smartgrid_services.model_server.options import ServerOptions
from tests.integration.serving import publisher_process

if TYPE_CHECKING:
    from tests.integration.serving.contract import Contract

ASKED = {"load_kw": [10.0], "temperature_c": [0.0]}


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
        folder = Path(publish_version(source, base=str(self.base), model=model, version=version))
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
        return launch.start_model_server(settings, log=base.parent / f"{base.name}.log")

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


@pytest.fixture(scope="session")
def contract(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator["Contract"]:
    """The server that the contract is asked of: ours, or the real one that is named."""
    # Here, not above: it imports TensorFlow's messages, which other tests do without.
    from tests.integration.serving.contract import REAL, Contract

    if REAL is not None:
        host, rest_port, grpc_port = REAL.rsplit(":", 2)
        yield Contract(f"http://{host}:{rest_port}", f"{host}:{grpc_port}")
        return
    folder = tmp_path_factory.mktemp("contract")
    saved_models = request.getfixturevalue("saved_models")
    script = Path(__file__).with_name("prepare_contract.py")
    subprocess.run(
        [sys.executable, str(script), str(folder), f"--saved-models={saved_models}"], check=True
    )
    start = request.getfixturevalue("start_server")
    server = start(folder, base_path=None, model_config_file=folder / "models.config")
    contract = Contract(server.rest_url, server.grpc_target)
    while contract.get("/ready").status_code != 200:
        time.sleep(0.05)
    yield contract
    server.stop()


class Place:
    """A model folder with a config and a server on it; version n multiplies by n."""

    def __init__(
        self,
        base: Path,
        server: RunningModelServer,
        saved_models: Path,
        publishers: subprocess.Popen[str],
    ) -> None:
        self.publishers = publishers
        self.client = ModelServerClient(server.grpc_target, server.rest_url, timeout=20)
        self.repository = ModelServerRepository(str(base), self.client, patience_s=20)
        self.books = publisher_process.Books(base.parent / f"{base.name}.json", saved_models)
        self.arguments = {
            "base": str(base),
            "grpc": server.grpc_target,
            "rest": server.rest_url,
            "saved_models": str(saved_models),
            "state": str(self.books.state),
        }

    def publish(self, model: str, version: int) -> str:
        return publisher_process.publish(**self.arguments, model=model, version=version)

    def kill_publisher(self, model: str, version: int, *, before: str) -> None:
        wish = {**self.arguments, "model": model, "version": version, "stop_at": before}
        self.publishers.stdin.write(json.dumps(wish) + "\n")
        self.publishers.stdin.flush()
        said = {self.publishers.stdout.readline(), self.publishers.stdout.readline()}
        (number,) = said - {f"stands before {before}\n"}
        os.kill(int(number), signal.SIGKILL)

    def says(self, model: str, label: str) -> tuple[str, float]:
        answer = self.client.predict(model, ASKED, label=label)
        return answer.model_version, answer.frame["p50"][0]

    def mover(self) -> LabelMover:
        return LabelMover(self.repository, self.books, self.books, by="test")


@pytest.fixture(scope="session")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    start_server: Callable[..., RunningModelServer],
    saved_models: Path,
) -> Iterator[Place]:
    """A model folder with a config, and a server on it, for tests of labels."""
    base = tmp_path_factory.mktemp("going_live") / "models"
    ensure_config(str(base))
    script = str(Path(__file__).with_name("publisher_process.py"))
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as publishers:
        server = start_server(base)
        place = Place(base, server, saved_models, publishers)
        yield place
        place.client.close()
        server.stop()
        publishers.stdin.close()
