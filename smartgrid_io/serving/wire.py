"""The messages of TensorFlow Serving that the client speaks, built without TensorFlow.

TensorFlow's own stubs take ten seconds to import, and message names never travel: a message is
its field numbers and types. So the few messages the client needs are declared here, in a
descriptor pool of their own that knows nothing of TensorFlow's, in whatever order both load.
Field numbers are those of tensorflow/core/framework and tensorflow_serving/apis.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from numpy.typing import NDArray

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"

STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
"""ModelVersionStatus.State, as TensorFlow Serving names its numbers."""

ERROR_CODES = {
    0: "OK",
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
"""Status codes, the same numbers in gRPC and in TensorFlow."""

_DT_FLOAT = 1
_DT_DOUBLE = 2
_DTYPES: dict[int, Any] = {_DT_FLOAT: np.dtype("<f4"), _DT_DOUBLE: np.dtype("<f8")}

_PACKAGE = "smartgrid.wire"
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _FIELD.TYPE_BOOL,
    "bytes": _FIELD.TYPE_BYTES,
    "double": _FIELD.TYPE_DOUBLE,
    "float": _FIELD.TYPE_FLOAT,
    # Enums travel as varints; as int32 an unknown value of a newer server stays readable.
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "string": _FIELD.TYPE_STRING,
}

# message -> field -> (number, type); "*" repeats, "map" has string keys.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "Shape": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
    },
    "Version": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Version"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "map Tensor"),
        "output_filter": (3, "*string"),
    },
    "PredictResponse": {"outputs": (1, "map Tensor"), "model_spec": (2, "ModelSpec")},
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "Status": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "ModelVersionStatus": {
        "version": (1, "int64"),
        "state": (2, "int32"),
        "status": (3, "Status"),
    },
    "GetModelStatusResponse": {"model_version_status": (1, "*ModelVersionStatus")},
    "GetModelMetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "*string")},
    "GetModelMetadataResponse": {"model_spec": (1, "ModelSpec")},
    # A message travels like its bytes: the config is written by its own stubs, which are light.
    "ReloadConfigRequest": {"config": (1, "bytes")},
    "ReloadConfigResponse": {"status": (1, "Status")},
}


def _declare_messages(pool: descriptor_pool.DescriptorPool) -> None:
    """Add every message of the table above to the pool."""
    file = descriptor_pb2.FileDescriptorProto(
        name="smartgrid/wire.proto", package=_PACKAGE, syntax="proto3"
    )
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number)
            repeated = kind.startswith(("*", "map "))
            field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if kind.startswith("map "):
                entry = message.nested_type.add(name=f"{field_name.title()}Entry")
                entry.options.map_entry = True
                entry.field.add(
                    name="key",
                    number=1,
                    label=_FIELD.LABEL_OPTIONAL,
                    type=_FIELD.TYPE_STRING,
                )
                entry.field.add(
                    name="value",
                    number=2,
                    label=_FIELD.LABEL_OPTIONAL,
                    type=_FIELD.TYPE_MESSAGE,
                    type_name=f".{_PACKAGE}.{kind.removeprefix('map ')}",
                )
                field.type = _FIELD.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{message_name}.{entry.name}"
            elif (scalar := _SCALARS.get(kind.lstrip("*"))) is not None:
                field.type = scalar
            else:
                field.type = _FIELD.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{kind.lstrip('*')}"
    pool.Add(file)


_POOL = descriptor_pool.DescriptorPool()
_declare_messages(_POOL)


def _get_message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_Tensor = _get_message_class("Tensor")
_PredictRequest = _get_message_class("PredictRequest")
_PredictResponse = _get_message_class("PredictResponse")
_GetModelStatusRequest = _get_message_class("GetModelStatusRequest")
_GetModelStatusResponse = _get_message_class("GetModelStatusResponse")
_GetModelMetadataRequest = _get_message_class("GetModelMetadataRequest")
_GetModelMetadataResponse = _get_message_class("GetModelMetadataResponse")
_ReloadConfigRequest = _get_message_class("ReloadConfigRequest")
_ReloadConfigResponse = _get_message_class("ReloadConfigResponse")


def build_predict_request(
    model: str,
    inputs: Mapping[str, NDArray[np.float32]],
    *,
    version: int | None = None,
    label: str | None = None,
) -> Message:
    """Return a Predict request.

    Args:
        model: Name of the model.
        inputs: float32 of any shape, by the signature's input name.
        version: The version to ask; None is the newest.
        label: The label to ask, in place of a version.
    """
    request = _PredictRequest()
    request.model_spec.name = model
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for name, array in inputs.items():
        write_tensor(request.inputs[name], array)
    return request  # type: ignore[no-any-return]  # classes made at run time have no type


def parse_predict_response(data: bytes) -> Any:
    """Parse a Predict response: `.outputs` by name, `.model_spec.version.value`."""
    return _PredictResponse.FromString(data)


def build_status_request(model: str, *, version: int | None = None) -> Message:
    """Return a GetModelStatus request for all versions, or for one."""
    request = _GetModelStatusRequest()
    request.model_spec.name = model
    if version is not None:
        request.model_spec.version.value = version
    return request  # type: ignore[no-any-return]  # classes made at run time have no type


def parse_status_response(data: bytes) -> Any:
    """Parse a GetModelStatus response: `.model_version_status`."""
    return _GetModelStatusResponse.FromString(data)


def build_metadata_request(model: str, *, label: str) -> Message:
    """Return a GetModelMetadata request, to learn which version a label means."""
    request = _GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = model
    request.model_spec.version_label = label
    return request  # type: ignore[no-any-return]  # classes made at run time have no type


def parse_metadata_response(data: bytes) -> Any:
    """Parse who answered a GetModelMetadata request: `.model_spec.version.value`."""
    return _GetModelMetadataResponse.FromString(data)


def build_reload_request(config: bytes) -> Message:
    """Return a ReloadConfig request; `config` is a serialized ModelServerConfig."""
    return _ReloadConfigRequest(config=config)  # type: ignore[no-any-return]  # see above


def parse_reload_response(data: bytes) -> Any:
    """Parse a ReloadConfig response: `.status.error_code`, `.status.error_message`."""
    return _ReloadConfigResponse.FromString(data)


def write_tensor(tensor: Any, array: NDArray[np.float32]) -> None:
    """Fill a Tensor message from a float32 array of any shape."""
    tensor.dtype = _DT_FLOAT
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = np.ascontiguousarray(array, dtype="<f4").tobytes()


def read_tensor(tensor: Any) -> NDArray[np.float64]:
    """Return the values of a float or double Tensor message, in its shape.

    Both ways of carrying values are read: one block of bytes, or a list in which a single value
    stands for all. Raises ValueError for another dtype or a count that does not fit the shape.
    """
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None:
        raise ValueError(f"dtype {tensor.dtype} is neither float32 nor float64")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    size = int(np.prod(shape, dtype=np.int64))
    if tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content, dtype=dtype)
    else:
        listed = tensor.float_val if tensor.dtype == _DT_FLOAT else tensor.double_val
        values = np.array(listed, dtype=dtype)
        if len(values) == 1:
            values = np.repeat(values, size)
    if len(values) != size:
        raise ValueError(f"{len(values)} values do not fill the shape {list(shape)}")
    return values.reshape(shape).astype(np.float64)
