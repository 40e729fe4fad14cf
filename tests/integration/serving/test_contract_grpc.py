"""TensorFlow Serving's contract over gRPC, asked of ours or of the real one."""

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
    predict_pb2,
    regression_pb2,
)

from tests.integration.serving.contract import (
    CLASSIFY,
    REGRESS,
    code_of,
    examples,
    fill,
    ours_only,
    predict_request,
    spec,
)

pytestmark = pytest.mark.xdist_group("model_server")


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


@ours_only
def test_a_few_bytes_that_name_gigabytes_are_refused_and_harm_nothing(contract):
    request = predict_request("sums")
    fill(request.inputs["x"], [1.0], np.float32)
    del request.inputs["x"].tensor_shape.dim[:]
    for size in (2**30, 3):
        request.inputs["x"].tensor_shape.dim.add(size=size)
    found, text = code_of(contract.predictions.Predict, request)
    assert found == "INVALID_ARGUMENT"
    assert "the shape [1073741824, 3] is too large to be filled up from 1" in text
    request.inputs["x"].tensor_shape.dim[0].size = 2
    answer = contract.predictions.Predict(request, timeout=30)
    assert list(answer.outputs["y"].float_val) == [3.0, 3.0]
