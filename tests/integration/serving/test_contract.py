"""TensorFlow Serving's contract, asked of ours or of the real one.

SMARTGRID_TEST_MODEL_SERVER=host:rest port:gRPC port names a server that serves the folder of
`prepare_contract.py` with `--model_config_file=<folder>/models.config` and
`--allow_version_labels_for_unavailable_models=true`; without it, ours is started.
"""

import gzip
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import numpy as np
import ovmsclient
import pytest
from google.protobuf import text_format
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

pytestmark = pytest.mark.xdist_group("model_server")

REAL = os.environ.get("SMARTGRID_TEST_MODEL_SERVER")
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
ours_only = pytest.mark.skipif(REAL is not None, reason="says what only our server says")


@dataclass(frozen=True)
class Contract:
    """Where the server answers."""

    rest_url: str
    grpc_target: str

    def __post_init__(self):
        channel = grpc.insecure_channel(self.grpc_target)
        object.__setattr__(
            self, "predictions", prediction_service_pb2_grpc.PredictionServiceStub(channel)
        )
        object.__setattr__(self, "models", model_service_pb2_grpc.ModelServiceStub(channel))
        object.__setattr__(self, "channel", channel)

    def get(self, path, **headers):
        return httpx.get(f"{self.rest_url}{path}", headers=headers, timeout=30)

    def post(self, path, body, **headers):
        content = body if isinstance(body, bytes) else body.encode()
        return httpx.post(
            f"{self.rest_url}/v1/models/{path}", content=content, headers=headers, timeout=30
        )

    def said(self, path, body):
        """The answer's JSON; the request must succeed."""
        answer = self.post(path, body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return json.loads(answer.content)

    def refused(self, path, body):
        """The code and the text of a refusal."""
        answer = self.post(path, body)
        document = json.loads(answer.content)
        assert list(document) == ["error"]
        return answer.status_code, document["error"]


@pytest.fixture(scope="session")
def contract(tmp_path_factory, request):
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


def spec(request, model, *, label=None, version=None, signature=""):
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if label is not None:
        request.model_spec.version_label = label
    if version is not None:
        request.model_spec.version.value = version
    return request


def predict_request(model, **how):
    return spec(predict_pb2.PredictRequest(), model, **how)


def fill(tensor, values, dtype):
    array = np.asarray(values, dtype=dtype)
    tensor.dtype = 1 if array.dtype == np.float32 else 9
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    field = tensor.float_val if array.dtype == np.float32 else tensor.int64_val
    field.extend(array.ravel().tolist())


def examples(*values):
    given = input_pb2.Input()
    for value in values:
        given.example_list.examples.add().features.feature["x"].float_list.value.append(value)
    return given


def code_of(call, request):
    with pytest.raises(grpc.RpcError) as refusal:
        call(request, timeout=30)
    return refusal.value.code().name, refusal.value.details()


def test_the_documented_predict_gives_the_documented_answer(contract):
    body = '{"instances": [1.0,2.0,5.0]}'
    assert contract.said("half_plus_three:predict", body) == {"predictions": [3.5, 4.0, 5.5]}


def test_the_documented_regress_gives_the_documented_answer(contract):
    body = '{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}'
    assert contract.said("half_plus_three:regress", body) == {"results": [3.5, 4.0]}


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


def test_the_documented_mistake_gives_the_documented_error(contract):
    assert contract.refused("half:predict", '{"instances": [1.0,5.0]}') == (
        404,
        "Servable not found for request: Latest(half)",
    )


def test_the_documented_rows_and_columns_say_the_same(contract):
    rows = [
        {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
        {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert contract.said("rows:predict", json.dumps({"instances": rows})) == {"predictions": rows}
    assert contract.said("rows:predict", json.dumps({"inputs": columns})) == {"outputs": columns}


def test_metadata_has_the_documented_form(contract):
    answer = contract.get("/v1/models/half_plus_two/metadata")
    assert answer.status_code == 200
    said = answer.json()
    assert said["model_spec"] == {
        "name": "half_plus_two",
        "signature_name": "",
        "version": "123",
    }
    signatures = said["metadata"]["signature_def"]["signature_def"]
    assert signatures["tensorflow/serving/regress"]["method_name"] == REGRESS
    assert signatures["serving_default"]["inputs"]["x"] == {
        "name": "x:0",
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
            "unknown_rank": False,
        },
    }


def test_classes_are_pairs_of_label_and_score_by_example(contract):
    body = '{"signature_name": "classify_x_to_y", "examples": [{"x": [1.0]}, {"x": 2.5}]}'
    assert contract.said("half_plus_two:classify", body) == {
        "results": [[["half", 2.5]], [["half", 3.25]]]
    }
    body = '{"signature_name": "scores_of_x", "examples": [{"x": 0.2}]}'
    assert contract.said("half_plus_two:classify", body) == {"results": [[["", 2.1]]]}


def test_the_context_s_features_belong_to_every_example(contract):
    body = '{"signature_name": "tensorflow/serving/regress", "context": {"x": 4.0}, "examples": [{"other": 1}, {"b": "text"}]}'  # noqa: E501
    assert contract.said("half_plus_two:regress", body) == {"results": [4.0, 4.0]}


@pytest.mark.parametrize(
    ("path", "body", "code", "words"),
    [
        ("{m}:regress", '{"examples": []}', 400, "'examples' value is an empty array"),
        ("{m}:regress", '{"examples": 1}', 400, "'examples' value to be an list/array"),
        ("{m}:classify", "{}", 400, "key 'examples' is expected and was not found"),
        (
            "{m}:regress",
            '{"examples": [1]}',
            400,
            "Example must be JSON object but got JSON Number",
        ),
        ("{m}:regress", '{"examples": [{"x": null}]}', 400, "unexpected JSON type: Null"),
        ("{m}:regress", '{"examples": [{"x": [[1]]}]}', 400, "unexpected JSON type: Array"),
        ("{m}:regress", '{"examples": [{"x": {"b": 1}}]}', 400, "unexpected JSON type: Object"),
        ("{m}:regress", '{"examples": [{"x": [1, 1.5]}]}', 400, "feature: x expecting type: int64"),
        ("{m}:regress", '{"examples": [{"x": [1.5, "a"]}]}', 400, "x expecting type: float"),
        ("{m}:regress", '{"examples": [{"x": ["a", true]}]}', 400, "x expecting type: bytes"),
        ("{m}:regress", '{"examples": [{"x": 18446744073709551615}]}', 400, "uint64 element"),
        ("{m}:regress", '{"examples": [{"x": 1e300}]}', 400, "without loss of precision"),
        ("{m}:regress", '{"examples": [{"x": 1.5}]}', 400, "signature method_name to be"),
        (
            "{m}:classify",
            '{"signature_name": "none", "examples": [{"x": 1.5}]}',
            400,
            "No signature was found with the name: none",
        ),
        # A whole number makes a list of int64, which this model does not take.
        (
            "{m}:regress",
            '{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1}]}',
            400,
            "x",
        ),
        ("{m}:predict", "[]", 400, "JSON Value: [] Is not object"),
        ("{m}:predict", "", 400, "JSON Parse error: The document is empty"),
        ("{m}:predict", '{"instances": [1.0', 400, "JSON Parse error: "),
        ("{m}:predict", "{}", 400, "Missing 'inputs' or 'instances' key"),
        ("nobody:predict", "{}", 404, "Servable not found for request: Latest(nobody)"),
        ("{m}/versions/7:predict", "{}", 404, "Servable not found for request: Specific({m}, 7)"),
        ("{m}/labels/none:predict", "{}", 400, "Unrecognized servable version label: none"),
        ("{m}/versions/9999999999999999999:predict", "{}", 400, "Failed to convert version: "),
        ("{m}:explain", "{}", 400, "Malformed request: POST /v1/models/{m}:explain"),
        ("{m}", "{}", 400, "Malformed request: POST /v1/models/{m}"),
        (
            "{m}:predict",
            '{"signature_name": "none", "instances": [1.0]}',
            400,
            'Serving signature name: "none" not found in signature def',
        ),
        (
            "{m}:predict",
            '{"signature_name": 1, "instances": [1.0]}',
            400,
            "'signature_name' key must be a string value.",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_in_the_real_server_s_words(
    contract, path, body, code, words
):
    model = "half_plus_two"
    found, text = contract.refused(path.replace("{m}", model), body)
    assert found == code
    assert words.replace("{m}", model) in text


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/v1/models/nobody", 404, "Could not find any versions of model nobody"),
        ("/v1/models/times/versions/7", 404, "Could not find version 7 of model times"),
        ("/v1/models/nobody/metadata", 404, "Servable not found for request: Latest(nobody)"),
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/times/labels/none/metadata", 400, "Unrecognized servable version label: none"),
        ("/v1/models/times:predict", 400, "Malformed request: GET /v1/models/times:predict"),
    ],
)
def test_what_cannot_be_told_is_refused_in_the_real_server_s_words(contract, path, code, words):
    answer = contract.get(path)
    assert (answer.status_code, answer.json()) == (code, {"error": words})


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


def test_bytes_and_special_numbers_go_in_and_come_out(contract):
    body = '{"inputs": {"text": [{"b64": "/w=="}, "a"], "count": [1, -1], "flag": [true, false]}}'
    request = json.loads(body)
    request["inputs"]["text"][0] = "kWh"
    said = contract.said("kinds:predict", json.dumps(request))["outputs"]
    assert said["raw_bytes"] == [{"b64": "a1do"}, {"b64": "YQ=="}]
    assert said["said"] == ["kWh!", "a!"]
    special = contract.said("sums:predict", '{"instances": [[NaN, 0, 0], [-Infinity, 0, 0]]}')
    assert math.isnan(special["predictions"][0])
    assert special["predictions"][1] == -math.inf


def test_a_compressed_request_is_read_and_the_connection_is_kept(contract):
    body = gzip.compress(b'{"instances": [1.0]}')
    with httpx.Client(timeout=30) as client:
        for _ in range(3):
            answer = client.post(
                f"{contract.rest_url}/v1/models/half_plus_two:predict",
                content=body,
                headers={"Content-Encoding": "gzip"},
            )
            assert answer.json() == {"predictions": [2.5]}
            assert answer.headers.get("connection", "keep-alive").lower() == "keep-alive"


def test_other_origins_are_told_nothing(contract):
    answer = contract.get("/v1/models/times", Origin="http://elsewhere.example")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_examples_are_classified_and_regressed_over_grpc(contract):
    request = spec(
        regression_pb2.RegressionRequest(input=examples(1.0, 2.0)),
        "half_plus_two",
        signature=REGRESS,
    )
    answer = contract.predictions.Regress(request, timeout=30)
    assert [line.value for line in answer.result.regressions] == [2.5, 3.0]
    assert answer.model_spec.version.value == 123
    request = spec(
        classification_pb2.ClassificationRequest(input=examples(1.0)),
        "half_plus_two",
        signature="classify_x_to_y",
    )
    answer = contract.predictions.Classify(request, timeout=30)
    assert text_format.MessageToString(answer.result, as_one_line=True) == (
        'classifications { classes { label: "half" score: 2.5 } }'
    )


def test_a_context_goes_over_grpc_too(contract):
    given = input_pb2.Input()
    given.example_list_with_context.context.features.feature["x"].float_list.value.append(4.0)
    given.example_list_with_context.examples.add().CopyFrom(example_pb2.Example())
    request = spec(
        regression_pb2.RegressionRequest(input=given), "half_plus_two", signature=REGRESS
    )
    answer = contract.predictions.Regress(request, timeout=30)
    assert [line.value for line in answer.result.regressions] == [4.0]


def multi(*tasks, values=(1.0,)):
    request = inference_pb2.MultiInferenceRequest(input=examples(*values))
    for model, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = model
        task.model_spec.signature_name = signature
    return request


def test_several_inferences_share_their_examples(contract):
    answer = contract.predictions.MultiInference(
        multi(
            ("half_plus_two", REGRESS, REGRESS),
            ("half_plus_two", "classify_x_to_y", CLASSIFY),
        ),
        timeout=30,
    )
    regression, classification = answer.results
    assert [line.value for line in regression.regression_result.regressions] == [2.5]
    assert classification.classification_result.classifications[0].classes[0].score == 2.5
    assert classification.model_spec.signature_name == "classify_x_to_y"
    assert classification.model_spec.version.value == 123


@pytest.mark.parametrize(
    ("tasks", "code", "words"),
    [
        ([], "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (
            [("half_plus_two", REGRESS, REGRESS), ("other", "classify_x_to_y", CLASSIFY)],
            "INVALID_ARGUMENT",
            "must access the same model name",
        ),
        (
            [("half_plus_two", REGRESS, REGRESS)] * 2,
            "INVALID_ARGUMENT",
            f"Duplicate evaluation of signature: {REGRESS}",
        ),
        (
            [("half_plus_two", "none", REGRESS)],
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: none",
        ),
        (
            [("half_plus_two", REGRESS, "tensorflow/serving/predict")],
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
    ],
)
def test_inferences_that_do_not_fit_together_are_refused(contract, tasks, code, words):
    found, text = code_of(contract.predictions.MultiInference, multi(*tasks))
    assert found == code
    assert words in text


@pytest.mark.parametrize(
    ("how", "inputs", "code", "words"),
    [
        ({"model": ""}, {}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"model": "nobody"}, {}, "NOT_FOUND", "Servable not found for request: Latest(nobody)"),
        (
            {"version": 7},
            {},
            "NOT_FOUND",
            "Servable not found for request: Specific(sums, 7)",
        ),
        (
            {"label": "none"},
            {},
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: none",
        ),
        (
            {"signature": "none"},
            {},
            "FAILED_PRECONDITION",
            'Serving signature key "none" not found.',
        ),
        ({}, {}, "INVALID_ARGUMENT", "input size does not match signature: 0!=1 len({}) != len({x"),
        (
            {},
            {"z": ([1.0], np.float32)},
            "INVALID_ARGUMENT",
            "input tensor alias not found in signature: z. Inputs expected to be in the set {x}.",
        ),
        ({}, {"x": ([[1, 2, 3]], np.int64)}, "INVALID_ARGUMENT", "x"),
    ],
)
def test_calls_that_cannot_be_answered_have_the_real_server_s_code(
    contract, how, inputs, code, words
):
    request = predict_request(**{"model": "sums", **how})
    for name, (values, dtype) in inputs.items():
        fill(request.inputs[name], values, dtype)
    found, text = code_of(contract.predictions.Predict, request)
    assert found == code
    assert words in text


def test_outputs_are_filtered_and_an_unknown_one_is_refused(contract):
    request = predict_request("times")
    for name in ("load_kw", "temperature_c"):
        fill(request.inputs[name], [1.0], np.float32)
    request.output_filter.append("p90")
    assert list(contract.predictions.Predict(request, timeout=30).outputs) == ["p90"]
    request.output_filter.append("p90")
    assert code_of(contract.predictions.Predict, request) == (
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: p90",
    )
    request.output_filter[1] = "p99"
    found, text = code_of(contract.predictions.Predict, request)
    assert found == "INVALID_ARGUMENT"
    assert "output tensor alias not found in signature: p99" in text


def test_calls_need_a_model_spec(contract):
    assert code_of(contract.predictions.Predict, predict_pb2.PredictRequest()) == (
        "INVALID_ARGUMENT",
        "Missing ModelSpec",
    )
    assert code_of(
        contract.models.GetModelStatus, get_model_status_pb2.GetModelStatusRequest()
    ) == (
        "INVALID_ARGUMENT",
        "Missing ModelSpec",
    )


def test_metadata_over_grpc_needs_a_field(contract):
    metadata = spec(get_model_metadata_pb2.GetModelMetadataRequest(), "times", label="stable")
    assert code_of(contract.predictions.GetModelMetadata, metadata)[0] == "INVALID_ARGUMENT"
    metadata.metadata_field.append("signature_def")
    said = contract.predictions.GetModelMetadata(metadata, timeout=30)
    assert said.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert said.metadata["signature_def"].Unpack(signatures)
    assert sorted(signatures.signature_def["serving_default"].outputs) == ["p10", "p50", "p90"]


def test_a_client_of_another_house_is_answered(contract):
    client = ovmsclient.make_grpc_client(contract.grpc_target)
    rows = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    # It sends version 0 for none, which is a version like any other to TensorFlow Serving.
    answer = client.predict({"x": rows}, "sums", model_version=1)
    np.testing.assert_array_equal(answer, [6.0])
    assert client.get_model_status("half_plus_three", 123)[123]["state"] == "AVAILABLE"
    assert client.get_model_metadata("sums", 1)["inputs"]["x"]["shape"] == [-1, 3]


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


@ours_only
def test_a_large_answer_is_compressed_for_who_takes_it(contract):
    rows = json.dumps({"instances": [[0.1, 0.2, 0.3]] * 4000})
    answer = contract.post("sums:predict", rows, **{"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["predictions"]) == 4000
    plain = contract.post("sums:predict", rows, **{"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == answer.json()
