"""Config file, labels and reloads over gRPC, with a server of their own."""

import shutil
import time

import grpc
import httpx
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

pytestmark = pytest.mark.xdist_group("model_server")

COLUMNS = {"inputs": {"load_kw": [1.0], "temperature_c": [0.0]}}


class Configured:
    """A server that serves what its config file lists."""

    def __init__(self, folder, server):
        self.folder = folder
        self.server = server
        channel = grpc.insecure_channel(server.grpc_target)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def text(self, *versions, labels="", model="m"):
        specific = " ".join(f"versions: {version}" for version in versions)
        pairs = " ".join(
            f'version_labels {{ key: "{label}" value: {version} }}'
            for label, version in (pair.split("=") for pair in labels.split())
        )
        return f"""
            model_config_list {{ config {{
              name: "{model}" base_path: "{self.folder / "m"}" model_platform: "tensorflow"
              model_version_policy {{ specific {{ {specific} }} }} {pairs}
            }} }}
        """

    def write(self, text):
        fresh = self.folder / "models.config.fresh"
        fresh.write_text(text)
        fresh.rename(self.folder / "models.config")

    def reload(self, text):
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(text, request.config)
        return self.models.HandleReloadConfigRequest(request, timeout=60)

    def ready(self):
        return httpx.get(f"{self.server.rest_url}/ready")

    def answer(self, path, model="m"):
        """The factor of the version that answers, or the code and the reason of a refusal."""
        said = httpx.post(f"{self.server.rest_url}/v1/models/{model}{path}:predict", json=COLUMNS)
        if said.status_code != 200:
            return said.status_code, said.json()["error"]
        return said.json()["outputs"]["p50"]

    def grpc_answer(self, **spec):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "m"
        request.model_spec.version_label = spec["label"]
        for name in ("load_kw", "temperature_c"):
            request.inputs[name].dtype = 1
            request.inputs[name].tensor_shape.dim.add(size=1)
            request.inputs[name].float_val.append(1.0)
        return self.predictions.Predict(request, timeout=20)


def eventually(condition, *, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def configured(tmp_path_factory, start_server, saved_models):
    folder = tmp_path_factory.mktemp("configured")
    for version in (1, 2, 3):
        shutil.copytree(saved_models / f"times_{version}", folder / "m" / str(version))
    server = start_server(
        folder,
        base_path=None,
        model_config_file=folder / "models.config",
        model_config_file_poll_wait_seconds=0.2,
    )
    yield Configured(folder, server)
    server.stop()


@pytest.fixture
def two_versions(configured):
    """Versions 1 and 2 answer, stable is 1 and canary is 2."""
    configured.write(configured.text(1, 2, labels="stable=1 canary=2"))
    eventually(lambda: configured.ready().status_code == 200)
    eventually(lambda: configured.answer("/labels/canary") == [2.0])
    eventually(lambda: configured.answer("/labels/stable") == [1.0])
    yield configured
    configured.write(configured.text(1))
    # A sent config has no labels either: only the answer tells that the file was read.
    eventually(lambda: configured.answer("") == [1.0])
    eventually(lambda: configured.ready().json().get("labels") == {})


def test_without_a_config_the_server_is_not_ready_and_says_why(configured):
    said = configured.ready()
    assert said.status_code == 503
    assert "models.config; No such file or directory" in said.json()["reason"]


def test_a_label_answers_with_its_version_over_both_protocols(two_versions):
    assert two_versions.answer("") == [2.0]
    assert two_versions.answer("/labels/stable") == [1.0]
    answer = two_versions.grpc_answer(label="canary")
    assert answer.model_spec.version.value == 2
    assert two_versions.answer("/labels/other") == (
        400,
        "Unrecognized servable version label: other",
    )
    with pytest.raises(grpc.RpcError) as refusal:
        two_versions.grpc_answer(label="other")
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == "Unrecognized servable version label: other"


def test_labels_move_with_the_file_and_never_to_a_version_that_does_not_answer(two_versions):
    two_versions.write(two_versions.text(1, 2, labels="stable=2 canary=1"))
    eventually(lambda: two_versions.answer("/labels/stable") == [2.0])
    assert two_versions.answer("/labels/canary") == [1.0]
    two_versions.write(two_versions.text(1, 2, labels="stable=3"))
    eventually(lambda: "config" in two_versions.ready().json())
    assert (
        "version 3 of model m, which is not currently available"
        in (two_versions.ready().json()["config"])
    )
    assert two_versions.answer("/labels/stable") == [2.0]


def test_a_corrupt_file_changes_nothing(two_versions):
    two_versions.write("model_config_list { config {")
    eventually(lambda: "config" in two_versions.ready().json())
    assert two_versions.answer("/labels/stable") == [1.0]


def test_a_sent_config_is_in_effect_when_the_call_returns(two_versions):
    assert two_versions.reload(two_versions.text(3, model="other")).status.error_code == 0
    assert two_versions.answer("", model="other") == [3.0]
    assert two_versions.answer("") == (404, "Servable not found for request: Latest(m)")


def test_a_sent_config_that_may_not_be_applied_changes_nothing(two_versions):
    with pytest.raises(grpc.RpcError) as refusal:
        two_versions.reload(two_versions.text(1, 2, labels="stable=3"))
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.details() == (
        "Request to assign label to version 3 of model m, "
        "which is not currently available for inference"
    )
    with pytest.raises(grpc.RpcError) as refusal:
        two_versions.reload("")
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert two_versions.answer("/labels/stable") == [1.0]


def test_status_tells_versions_that_were_let_go_of(two_versions):
    two_versions.write(two_versions.text(3))
    eventually(lambda: two_versions.answer("") == [3.0])

    def states():
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "m"
        said = two_versions.models.GetModelStatus(request, timeout=20)
        return {line.version: line.state for line in said.model_version_status}

    available, end = 30, 50
    eventually(lambda: states() == {3: available, 2: end, 1: end})
