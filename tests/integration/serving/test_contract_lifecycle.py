"""Versions, labels, health and metrics by TensorFlow Serving's contract."""

import numpy as np
import pytest

from tests.integration.serving.contract import REAL, fill, ours_only, predict_request

pytestmark = pytest.mark.xdist_group("model_server")


def test_the_documented_status_gives_the_documented_answer(contract):
    answer = contract.get("/v1/models/half_plus_three")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "model_version_status": [
                {
                    "version": "123",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        },
    )


def test_versions_and_labels_choose_who_answers(contract):
    columns = '{"inputs": {"load_kw": [1.0], "temperature_c": [0.0]}}'
    paths = {"": 2.0, "/versions/1": 1.0, "/labels/stable": 1.0, "/labels/canary": 2.0}
    for path, factor in paths.items():
        said = contract.said(f"times{path}:predict", columns)
        assert said["outputs"]["p50"] == [factor]
    request = predict_request("times", label="canary")
    for name in ("load_kw", "temperature_c"):
        fill(request.inputs[name], [0.0, 1.0], np.float32)
    answer = contract.predictions.Predict(request, timeout=30)
    assert answer.model_spec.version.value == 2
    assert answer.model_spec.signature_name == "serving_default"
    assert list(answer.outputs["p50"].float_val) == [0.0, 3.0]
    request.model_spec.version.value = 1
    assert contract.predictions.Predict(request, timeout=30).model_spec.version.value == 1


def test_folders_that_are_no_versions_are_skipped_and_the_policy_is_kept(contract):
    found = contract.get("/v1/models/times").json()["model_version_status"]
    assert {line["version"]: line["state"] for line in found} == {
        "2": "AVAILABLE",
        "1": "AVAILABLE",
    }


def test_metrics_have_the_real_names(contract):
    contract.post("half_plus_two:predict", '{"instances": [1.0]}')
    answer = contract.get("/monitoring/prometheus/metrics")
    if REAL is not None and answer.status_code == 404:
        pytest.skip("the real server was started without --monitoring_config_file")
    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="half_plus_two",status="OK"} ',
        "# TYPE :tensorflow:serving:request_latency histogram",
        ':tensorflow:serving:request_latency_count{model_name="half_plus_two",API="predict",',
        "# TYPE :tensorflow:core:graph_runs counter",
        "# TYPE :tensorflow:cc:saved_model:load_attempt_count counter",
    ):
        assert line in answer.text


@ours_only
def test_health_of_every_service_is_told_over_grpc(contract):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    stub = health_pb2_grpc.HealthStub(contract.channel)
    for name in ("", "tensorflow.serving.PredictionService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=30)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
