"""A server with batching, small limits and quick retries: what its settings make of requests."""

import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest

from smartgrid_io.serving.client import ModelServerClient
from smartgrid_services.model_server.launch import RunningModelServer

pytestmark = pytest.mark.xdist_group("model_server")

PARAMETERS = """
max_batch_size { value: 16 }
batch_timeout_micros { value: 5000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 1000 }
"""
PREDICT = "/tensorflow.serving.PredictionService/Predict"


@dataclass(frozen=True)
class Small:
    """The server, its models and its client."""

    server: RunningModelServer
    base: Path
    saved_models: Path
    client: ModelServerClient

    def put(self, saved_model, model, version=1):
        hidden = self.base / f".{model}-{version}"
        shutil.copytree(self.saved_models / saved_model, hidden)
        (self.base / model).mkdir(exist_ok=True)
        hidden.rename(self.base / model / str(version))

    def status(self, model):
        """State, code and message of the newest version once it is neither new nor LOADING."""
        deadline = time.monotonic() + 60
        while True:
            for line in self.client.read_version_status(model)[:1]:
                if line.is_available or line.is_failed:
                    return line.state, line.error_code, line.error_message
            assert time.monotonic() < deadline, "did not come true in time"
            time.sleep(0.05)

    def predict(self, model, values, code=200):
        body = {"inputs": {"load_kw": values, "temperature_c": [0.0] * len(values)}}
        answer = httpx.post(
            f"{self.server.rest_url}/v1/models/{model}:predict", json=body, timeout=30
        )
        assert answer.status_code == code, answer.text
        return answer.json()

    def metric(self, name):
        page = httpx.get(f"{self.server.rest_url}/monitoring/prometheus/metrics").text
        found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
        return 0.0 if found is None else float(found[1])


@pytest.fixture(scope="module")
def small(tmp_path_factory, start_server, saved_models):
    folder = tmp_path_factory.mktemp("small")
    parameters = folder / "batching.config"
    parameters.write_text(PARAMETERS)
    base = folder / "models"
    base.mkdir()
    server = start_server(
        base,
        enable_batching=True,
        batching_parameters_file=parameters,
        max_body_mb=1,
        max_num_load_retries=1,
        load_retry_interval_micros=300_000,
    )
    with ModelServerClient(server.grpc_target, server.rest_url, timeout=30) as client:
        yield Small(server, base, saved_models, client)
    server.stop()


@pytest.fixture
def model(small, model):
    small.put("times_3", model)
    assert small.status(model)[0] == "AVAILABLE"
    return model


def test_many_small_requests_share_runs_and_get_their_own_rows(small, model):
    runs = ":tensorflow:serving:batching_session:wrapped_run_count{}"
    before = small.metric(runs)
    values = [[float(number), float(number + 1)][: 1 + number % 2] for number in range(120)]

    def ask(numbered):
        number, given = numbered
        if number % 3:
            return small.predict(model, given)["outputs"]["p50"]
        features = {"load_kw": given, "temperature_c": [0.0] * len(given)}
        return small.client.predict(model, features).frame["p50"].to_list()

    with ThreadPoolExecutor(24) as callers:
        answers = list(callers.map(ask, enumerate(values)))
    assert answers == [[3.0 * value for value in given] for given in values]
    assert small.metric(runs) - before < 120


def test_a_bad_request_between_good_ones_harms_none(small, model):
    def ask(number):
        if number % 5 == 0:
            url = f"{small.server.rest_url}/v1/models/{model}:predict"
            uneven = {"inputs": {"load_kw": [1.0, 2.0, 3.0], "temperature_c": [1.0, 2.0]}}
            return httpx.post(url, json=uneven, timeout=30).status_code
        return small.predict(model, [float(number)])["outputs"]["p50"][0]

    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(ask, range(60)))
    assert answers == [400 if number % 5 == 0 else 3.0 * number for number in range(60)]


def test_more_rows_than_a_batch_holds_are_refused(small, model):
    refusal = small.predict(model, [1.0] * 17, code=400)
    assert refusal["error"] == "Task size 17 is larger than maximum input batch size 16"


def test_a_body_over_the_limit_is_refused_and_the_next_one_answered(small, model):
    url = f"{small.server.rest_url}/v1/models/{model}:predict"
    answer = httpx.post(url, content=b" " * (2 * 1024**2), timeout=30)
    assert answer.status_code == 413
    assert list(answer.json()) == ["error"]
    channel = grpc.insecure_channel(small.server.grpc_target)
    with pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary(PREDICT)(b" " * (2 * 1024**2), timeout=30)
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert small.predict(model, [1.0])["outputs"]["p50"] == [3.0]


@pytest.mark.parametrize("body", [b"\x0a\xff", b"\x12\x7f\x01", b"garbage"])
def test_a_truncated_message_is_refused_and_the_next_one_answered(small, model, body):
    channel = grpc.insecure_channel(small.server.grpc_target)
    with pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary(PREDICT)(body, timeout=30)
    assert refusal.value.code() is grpc.StatusCode.INTERNAL
    assert small.predict(model, [1.0])["outputs"]["p50"] == [3.0]


def test_a_compressed_body_that_is_none_is_refused(small, model):
    url = f"{small.server.rest_url}/v1/models/{model}:predict"
    headers = {"Content-Encoding": "gzip"}
    answer = httpx.post(url, content=b"not gzip", headers=headers, timeout=30)
    assert answer.status_code == 400


def test_a_version_is_warm_before_it_answers(small, model):
    small.put("warm", f"{model}_warm")
    assert small.status(f"{model}_warm") == ("AVAILABLE", "OK", "")
    folder = small.base / f"{model}_warm" / "1"
    name = ":tensorflow:serving:model_warmup_latency_count"
    assert small.metric(f'{name}{{model_path="{folder}",status="OK"}}') == 1


def test_a_version_that_cannot_answer_its_own_requests_is_not_used(small, model):
    small.put("warm_unanswered", f"{model}_cold")
    state, code, message = small.status(f"{model}_cold")
    assert (state, code) == ("END", "INVALID_ARGUMENT")
    assert "input size does not match signature: 1!=2" in message
    small.put("warm_corrupt", f"{model}_corrupt")
    state, code, message = small.status(f"{model}_corrupt")
    assert (state, code) == ("END", "DATA_LOSS")
    assert "Please verify your warmup data is in TFRecord format." in message


def test_a_load_that_fails_is_tried_again_and_told(small, model):
    folder = small.base / f"{model}_broken" / "1"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"no model")
    state, code, message = small.status(f"{model}_broken")
    assert (state, code != "OK", bool(message)) == ("END", True, True)
    name = f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{folder}",status="fail"}}'
    deadline = time.monotonic() + 30
    while small.metric(name) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    assert small.metric(name) == 2


def test_requests_are_counted_by_model_and_status(small, model):
    small.predict(model, [1.0])
    small.predict(model, [1.0] * 17, code=400)
    count = ":tensorflow:serving:request_count"
    for status in ("OK", "INVALID_ARGUMENT"):
        assert small.metric(f'{count}{{model_name="{model}",status="{status}"}}') == 1


def test_deep_json_is_refused_and_the_next_one_answered(small, model):
    url = f"{small.server.rest_url}/v1/models/{model}:predict"
    for depth in (60, 900, 100_000):
        body = json.dumps({"inputs": {}}).replace("{}", "[" * depth + "]" * depth)
        answer = httpx.post(url, content=body, timeout=30)
        assert answer.status_code == 400
        assert list(answer.json()) == ["error"]
    assert small.predict(model, [1.0])["outputs"]["p50"] == [3.0]
