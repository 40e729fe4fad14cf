"""TensorFlow Serving's contract, asked of ours or of the real one.

SMARTGRID_TEST_MODEL_SERVER=host:rest port:gRPC port names a server that serves the folder of
`prepare_contract.py` with `--model_config_file=<folder>/models.config` and
`--allow_version_labels_for_unavailable_models=true`; without it, ours is started.
"""

import json
import os
from dataclasses import dataclass

import grpc
import httpx
import numpy as np
import pytest
from tensorflow_serving.apis import (
    input_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

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
