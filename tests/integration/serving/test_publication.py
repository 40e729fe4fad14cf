"""Publication with a real server: reload under load, corrupt folders, and processes that die."""

import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter

import httpx
import psutil
import pytest

from smartgrid_core.errors import ModelUnavailableError, PublicationError, ServerError
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.publisher import (
    list_published_versions,
    measure_golden_parity,
    prune_versions,
    publish_version,
    wait_until_available,
    withdraw_version,
)

pytestmark = pytest.mark.xdist_group("model_server")

FEATURES = {"load_kw": [1.0], "temperature_c": [0.0]}


def eventually(condition, *, seconds=60):
    """Wait until the condition holds; it must in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


def states(serving, model):
    return {status.version: status.state for status in serving.client.read_version_status(model)}


class SteadyLoad:
    """Asks over gRPC and REST without pause until the block ends; keeps every answer."""

    def __init__(self, serving, model):
        self.answers = Counter()
        self.failures = []
        self._serving = serving
        self._model = model
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(ask,))
            for ask in (self._grpc, self._grpc, self._rest)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, ask):
        while not self._ended.is_set():
            try:
                self.answers[ask()] += 1
            except Exception as error:
                self.failures.append(error)

    def _grpc(self):
        said = self._serving.client.predict(self._model, FEATURES)
        return said.model_version, said.frame["p50"][0]

    def _rest(self):
        answer = httpx.post(
            f"{self._serving.server.rest_url}/v1/models/{self._model}:predict",
            json={"inputs": FEATURES},
            timeout=20,
        ).json()
        middle = answer["outputs"]["p50"][0]
        return str(int(middle)), middle


def test_versions_change_under_steady_load_and_no_request_is_lost(serving, model):
    serving.publish("times_1", model=model, version=1)
    with SteadyLoad(serving, model) as load:
        for version in (2, 3, 4):
            time.sleep(0.3)
            serving.publish(f"times_{version}", model=model, version=version)
            eventually(lambda version=version: load.answers[(str(version), float(version))] > 0)
        withdraw_version(base=str(serving.base), model=model, version=4)
        eventually(lambda: serving.client.list_live_versions(model) == ["3", "2"])
        before = load.answers[("3", 3.0)]
        eventually(lambda: load.answers[("3", 3.0)] > before)
    assert load.failures == []
    # A version answers with its own factor: no request saw two versions.
    assert set(load.answers) == {(str(version), float(version)) for version in (1, 2, 3, 4)}


def test_the_newest_two_answer_and_older_ones_are_let_go_of(serving, model):
    for version in (1, 2, 3):
        serving.publish(f"times_{version}", model=model, version=version)
    eventually(lambda: states(serving, model) == {"3": "AVAILABLE", "2": "AVAILABLE", "1": "END"})
    assert prune_versions(base=str(serving.base), model=model, keep=3) == []


def test_a_request_in_flight_ends_on_the_version_it_began_with(serving, model):
    serving.publish("slow_1", model=model, version=1)
    url = f"{serving.server.rest_url}/v1/models/{model}:predict"

    def count(steps):
        return httpx.post(url, json={"inputs": [steps]}, timeout=120).json()

    began = time.monotonic()
    count(200_000)
    steps = int(200_000 * 4 / max(time.monotonic() - began, 0.05))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(count(steps)))
    thread.start()
    time.sleep(0.5)
    publish_version(serving.saved_models / "slow_2", base=str(serving.base), model=model, version=2)
    withdraw_version(base=str(serving.base), model=model, version=1)
    eventually(lambda: serving.client.list_live_versions(model) == ["2"])
    assert states(serving, model)["1"] == "UNLOADING"
    thread.join()
    assert answers == [{"outputs": {"reached": [steps], "version": [1.0]}}]
    eventually(lambda: states(serving, model) == {"2": "AVAILABLE", "1": "END"})
    assert count(3) == {"outputs": {"reached": [3], "version": [2.0]}}


def test_a_corrupt_version_is_told_harms_no_other_and_is_tried_again_when_mended(serving, model):
    serving.publish("times_1", model=model, version=1)
    good = serving.saved_models / "times_2"
    corrupt = serving.base / model / "2"
    shutil.copytree(good, corrupt)
    graph = (corrupt / "saved_model.pb").read_bytes()
    (corrupt / "saved_model.pb").write_bytes(graph[: len(graph) // 2])
    with pytest.raises(PublicationError, match=r"version 2 of .* was refused by the model server"):
        wait_until_available(serving.client, model, 2)
    assert serving.client.predict(model, FEATURES).model_version == "1"
    with pytest.raises(PublicationError, match="exists with other content"):
        publish_version(good, base=str(serving.base), model=model, version=2)

    (corrupt / "saved_model.pb").write_bytes(graph)
    eventually(lambda: serving.client.list_live_versions(model) == ["2", "1"])
    assert serving.client.predict(model, FEATURES).frame["p50"].to_list() == [2.0]


@pytest.mark.parametrize("missing", ["saved_model.pb", "variables/variables.index"])
def test_an_incomplete_version_is_no_version(serving, model, missing):
    shutil.copytree(serving.saved_models / "times_3", serving.base / model / "3")
    (serving.base / model / "3" / missing).unlink()
    with pytest.raises(PublicationError, match="was refused by the model server"):
        wait_until_available(serving.client, model, 3)
    assert serving.client.list_live_versions(model) == []
    status = serving.client.read_version_status(model)[0]
    assert (status.state, status.is_failed, bool(status.error_message)) == ("END", True, True)


def test_hidden_and_unnumbered_folders_are_no_versions(serving, model):
    for name in (".publishing-9-abc", "latest", "9.tmp", "-1"):
        shutil.copytree(serving.saved_models / "times_1", serving.base / model / name)
    serving.publish("times_1", model=model, version=1)
    assert states(serving, model) == {"1": "AVAILABLE"}


def test_a_version_whose_answer_differs_is_withdrawn_and_the_one_before_answers(serving, model):
    serving.publish("times_1", model=model, version=1)
    offline = serving.client.predict(model, FEATURES).frame
    assert measure_golden_parity(offline, offline) == 0.0
    serving.publish("times_2", model=model, version=2)
    served = serving.client.predict(model, FEATURES, version=2).frame
    with pytest.raises(PublicationError, match="golden row 0"):
        measure_golden_parity(served, offline)
    withdraw_version(base=str(serving.base), model=model, version=2)
    eventually(lambda: serving.client.list_live_versions(model) == ["1"])
    assert serving.client.predict(model, FEATURES).model_version == "1"


def test_a_publisher_killed_between_copy_and_rename_leaves_the_old_version(serving, model):
    serving.publish("times_1", model=model, version=1)
    source = serving.saved_models / "times_2"
    script = f"""
        import time
        from pathlib import Path
        from smartgrid_io.serving import model_folder, publisher
        def rename(*_):
            print("copied", flush=True)
            time.sleep(600)
        model_folder.os.rename = rename
        base = {str(serving.base)!r}
        publisher.publish_version(Path({str(source)!r}), base=base, model={model!r}, version=2)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "copied\n"
        process.send_signal(signal.SIGKILL)
    folder = serving.base / model
    assert list_published_versions(base=str(serving.base), model=model) == [1]
    assert [path for path in folder.iterdir() if path.name.startswith(".publishing-2-")]
    assert serving.client.list_live_versions(model) == ["1"]

    serving.publish("times_2", model=model, version=2)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "1", "2"]


@pytest.mark.slow
def test_a_server_killed_and_started_again_answers_the_same_client(
    tmp_path, start_server, saved_models, free_ports
):
    base = tmp_path / "models"
    base.mkdir()
    ports = dict(zip(("rest_port", "grpc_port"), free_ports(), strict=True))
    server = start_server(base, **ports)
    try:
        with ModelServerClient(server.grpc_target, server.rest_url, timeout=20) as client:
            assert httpx.get(f"{server.rest_url}/ready").status_code == 503
            publish_version(saved_models / "times_1", base=str(base), model="m", version=1)
            wait_until_available(client, "m", 1)
            assert httpx.get(f"{server.rest_url}/ready").status_code == 200

            server.process.kill()
            server.process.wait()
            with pytest.raises(ModelUnavailableError, match="UNAVAILABLE"):
                client.predict("m", FEATURES)
            publish_version(saved_models / "times_2", base=str(base), model="m", version=2)

            server = start_server(base, **ports)
            wait_until_available(client, "m", 2)
            assert client.predict("m", FEATURES).frame["p50"].to_list() == [2.0]
            eventually(lambda: client.list_live_versions("m") == ["2", "1"])
            assert server.stop() == 0
            assert client.list_live_versions("m") == []
    finally:
        server.process.kill()
        server.process.wait()


def test_a_taken_port_is_said_before_tensorflow_is_imported(serving, tmp_path):
    port = httpx.URL(serving.server.rest_url).port
    began = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "smartgrid_services.model_server"),
            *(f"--base-path={tmp_path}", f"--rest-port={port}", "--grpc-port=1"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"REST port {port} of 127.0.0.1 cannot be had" in done.stderr
    assert time.monotonic() - began < 30


def test_a_server_that_cannot_start_says_so_with_its_log(start_server, tmp_path):
    with pytest.raises(ServerError, match="cannot be had"):
        start_server(tmp_path / "models", host="192.0.2.1")


@pytest.mark.slow
def test_a_server_ends_with_the_process_that_started_it(tmp_path, free_ports):
    rest_port, grpc_port = free_ports()
    script = f"""
        import subprocess, sys, time
        process = subprocess.Popen([
            sys.executable, "-m", "smartgrid_services.model_server", "--exit-with-parent",
            "--base-path={tmp_path}", "--rest-port={rest_port}", "--grpc-port={grpc_port}",
        ])
        time.sleep(3)
        print(process.pid, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        child = int(parent.stdout.readline())
        parent.kill()

    def gone():
        try:
            # Where nobody buries orphans an ended process stays as a zombie.
            return psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    eventually(gone, seconds=60)
