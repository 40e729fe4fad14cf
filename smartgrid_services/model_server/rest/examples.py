"""tf.train.Example from the JSON of classify and regress; imports TensorFlow's messages."""

from typing import Any

from tensorflow.core.example import example_pb2, feature_pb2

from smartgrid_services.model_server.examples import packed
from smartgrid_services.model_server.inference import Examples
from smartgrid_services.model_server.rest.values import (
    bad,
    bytes_of,
    is_base64,
    lossless_float32,
    show,
    type_name,
)

_INT64 = range(-(2**63), 2**63)
_UINT64_END = 2**64


def examples_from_json(document: dict[str, Any]) -> Examples:
    """Examples of a classify or regress request's JSON; raises ServingError naming the feature."""
    context = b""
    if "context" in document:
        context = _example(document["context"])
    examples = document.get("examples")
    if "examples" not in document:
        bad(
            f"JSON Value: {show(document)} When method is classify, key 'examples' is expected "
            "and was not found"
        )
    if not isinstance(examples, list):
        bad(f"JSON Value: {show(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        bad(f"JSON Value: {show(document)} 'examples' value is an empty array")
    return packed([context + _example(one) for one in examples])


def _example(value: Any) -> bytes:
    if not isinstance(value, dict):
        bad(f"Example must be JSON object but got JSON {type_name(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        bytes_of(name)
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            _add(name, item, feature)
    return bytes(example.SerializeToString())


def _add(name: str, value: Any, feature: feature_pb2.Feature) -> None:
    """Put the value into the feature's list; all values of a feature are of one kind."""
    if isinstance(value, str) or is_base64(value):
        _list(name, feature, "bytes_list").append(bytes_of(value))
    elif isinstance(value, bool):
        _list(name, feature, "int64_list").append(int(value))
    elif isinstance(value, int) and value in _INT64:
        _list(name, feature, "int64_list").append(value)
    elif isinstance(value, int) and 0 <= value < _UINT64_END:
        bad(f"Feature: {name} has uint64 element. Only int64 is supported.")
    elif isinstance(value, int | float):
        values = _list(name, feature, "float_list")
        if not lossless_float32(value):
            bad(f"Cannot convert JSON value: {show(value)} to float without loss of precision.")
        values.append(float(value))
    else:
        bad(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")


def _list(name: str, feature: feature_pb2.Feature, kind: str) -> Any:
    found = feature.WhichOneof("kind")
    if found not in {None, kind}:
        bad(
            f"Unexpected element type in feature: {name} "
            f"expecting type: {str(found).removesuffix('_list')}"
        )
    return getattr(feature, kind).value
