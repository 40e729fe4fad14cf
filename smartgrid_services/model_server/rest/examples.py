"""tf.train.Example from the JSON of classify and regress; imports TensorFlow's messages."""

from typing import Any

from tensorflow.core.example import example_pb2, feature_pb2

from smartgrid_services.model_server.rest.values import (
    format_value,
    is_base64,
    is_lossless_float32,
    name_json_type,
    refuse,
    to_bytes,
)
from smartgrid_services.model_server.servables.examples import pack_examples
from smartgrid_services.model_server.servables.inference import Examples

_INT64 = range(-(2**63), 2**63)
_UINT64_END = 2**64


def read_json_examples(document: dict[str, Any]) -> Examples:
    """Return the examples of a classify or regress request.

    Raises ServingError naming the feature that cannot be read.
    """
    context = b""
    if "context" in document:
        context = _encode_example(document["context"])
    examples = document.get("examples")
    if "examples" not in document:
        refuse(
            f"JSON Value: {format_value(document)} When method is classify, key 'examples' "
            "is expected "
            "and was not found"
        )
    if not isinstance(examples, list):
        refuse(
            f"JSON Value: {format_value(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        refuse(f"JSON Value: {format_value(document)} 'examples' value is an empty array")
    return pack_examples([context + _encode_example(one) for one in examples])


def _encode_example(value: Any) -> bytes:
    if not isinstance(value, dict):
        refuse(f"Example must be JSON object but got JSON {name_json_type(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        to_bytes(name)
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            _add_feature(name, item, feature)
    return bytes(example.SerializeToString())


def _add_feature(name: str, value: Any, feature: feature_pb2.Feature) -> None:
    """Put the value into the feature's list; all values of a feature are of one kind."""
    if isinstance(value, str) or is_base64(value):
        _open_value_list(name, feature, "bytes_list").append(to_bytes(value))
    elif isinstance(value, bool):
        _open_value_list(name, feature, "int64_list").append(int(value))
    elif isinstance(value, int) and value in _INT64:
        _open_value_list(name, feature, "int64_list").append(value)
    elif isinstance(value, int) and 0 <= value < _UINT64_END:
        refuse(f"Feature: {name} has uint64 element. Only int64 is supported.")
    elif isinstance(value, int | float):
        values = _open_value_list(name, feature, "float_list")
        if not is_lossless_float32(value):
            refuse(
                f"Cannot convert JSON value: {format_value(value)} to float without loss of "
                "precision."
            )
        values.append(float(value))
    else:
        refuse(f"Feature: {name} has element with unexpected JSON type: {name_json_type(value)}")


def _open_value_list(name: str, feature: feature_pb2.Feature, kind: str) -> Any:
    found = feature.WhichOneof("kind")
    if found not in {None, kind}:
        refuse(
            f"Unexpected element type in feature: {name} "
            f"expecting type: {str(found).removesuffix('_list')}"
        )
    return getattr(feature, kind).value
