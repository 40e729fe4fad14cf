"""TensorFlow Serving's JSON: predict requests to arrays, arrays to predict responses."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smartgrid_services.model_server.signatures import Signature, TensorSpec
from smartgrid_services.model_server.status import Code, ServingError

Layout = Literal["row", "column"]

_SHOWN = 80
_DEEPEST = 32
_BYTES_SUFFIX = "_bytes"
"""Outputs so named are bytes and travel as {"b64": ...}; other strings travel as text."""


@dataclass(frozen=True, slots=True)
class PredictBody:
    """A predict request's JSON: `values` is a list of rows, or columns by input name."""

    signature_name: str
    layout: Layout
    values: Any


def read_predict_body(body: bytes) -> PredictBody:
    """Parse and check the frame of the request; the tensors wait for the signature."""
    if not body:
        raise _bad("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _bad(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise _bad(f"JSON Value: {_show(document)} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise _bad(f"'signature_name' key must be a string value, got {_show(name)}")
    if "instances" in document and "inputs" in document:
        raise _bad("expecting only one of 'inputs' or 'instances' keys to exist")
    if "inputs" in document:
        return PredictBody(name, "column", document["inputs"])
    if "instances" not in document:
        raise _bad("Missing 'inputs' or 'instances' key")
    rows = document["instances"]
    if not isinstance(rows, list):
        raise _bad(f"Expecting 'instances' to be an list/array, got {_show(rows)}")
    if not rows:
        raise _bad("No values in 'instances' array")
    return PredictBody(name, "row", rows)


def read_inputs(body: PredictBody, signature: Signature) -> dict[str, NDArray[Any]]:
    """Arrays by input name, of the signature's dtypes; ServingError names what does not fit."""
    columns = _columns_of(body, signature)
    where = "'instances' list" if body.layout == "row" else "'inputs' object"
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = _to_array(values, signature.inputs[name])
        except ServingError as error:
            raise ServingError(
                error.code, f"Failed to process key: {name} of {where}. Error: {error.message}"
            ) from error
    return arrays


def write_outputs(outputs: Mapping[str, NDArray[Any]], *, layout: Layout) -> bytes:
    """`{"predictions": [...]}` row by row, or `{"outputs": ...}`; a single output stands bare."""
    values = {name: _from_array(name, array) for name, array in outputs.items()}
    if layout == "column":
        bare = next(iter(values.values())) if len(values) == 1 else values
        return json.dumps({"outputs": bare}).encode()
    sizes = {array.shape[0] if array.ndim else None for array in outputs.values()}
    if len(sizes) != 1 or None in sizes:
        shapes = {name: list(array.shape) for name, array in outputs.items()}
        raise _bad(
            f"outputs cannot be told row by row, their shapes are {shapes}; "
            "ask with 'inputs' instead of 'instances'"
        )
    if len(values) == 1:
        return json.dumps({"predictions": next(iter(values.values()))}).encode()
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return json.dumps({"predictions": rows}).encode()


def _columns_of(body: PredictBody, signature: Signature) -> dict[str, Any]:
    if body.layout == "column":
        return _named_inputs(body.values, signature)
    rows = body.values
    if not _is_object(rows[0]):
        if len(signature.inputs) > 1:
            raise _bad(
                "instances is a plain list, but expecting list of objects as multiple input "
                f"tensors are required: {', '.join(sorted(signature.inputs))}"
            )
        for number, row in enumerate(rows):
            if _is_object(row):
                raise _bad(f"Expecting value/list but got object at item {number} of input list")
        return {next(iter(signature.inputs)): rows}
    names = signature.inputs.keys()
    for number, row in enumerate(rows):
        if not _is_object(row):
            raise _bad(f"Expecting object but got {_show(row)} at item {number} of input list")
        if row.keys() != names:
            raise _bad(
                f"Failed to process element: {number} of 'instances' list. JSON object: "
                f"{_show(row)} keys must be equal to: {','.join(sorted(names))}"
            )
    return {name: [row[name] for row in rows] for name in names}


def _named_inputs(values: Any, signature: Signature) -> dict[str, Any]:
    if not _is_object(values):
        if len(signature.inputs) > 1:
            raise _bad(
                "inputs is a plain value/list, but expecting an object as multiple input "
                f"tensors are required: {', '.join(sorted(signature.inputs))}"
            )
        return {next(iter(signature.inputs)): values}
    for name in sorted(signature.inputs):
        if name not in values:
            raise _bad(f"Missing named input: {name} in 'inputs' object.")
    for name in sorted(values):
        if name not in signature.inputs:
            raise _bad(f"JSON object: does not have named input: {name}")
    return {name: values[name] for name in signature.inputs}


def _is_object(value: Any) -> bool:
    """Whether the value has named members; {"b64": ...} is a value."""
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _to_array(value: Any, spec: TensorSpec) -> NDArray[Any]:
    """Nested lists of one shape to an array; ServingError says where it is ragged or not typed."""
    if spec.array_dtype is None:
        raise ServingError(Code.UNIMPLEMENTED, f"{spec.dtype} cannot be sent as JSON")
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    if len(shape) > _DEEPEST:
        raise _bad(f"lists are nested {len(shape)} deep, at most {_DEEPEST} are taken")
    leaves: list[Any] = []
    _flatten(value, 0, tuple(shape), leaves)
    return _typed(leaves, spec).reshape(shape)


def _flatten(value: Any, level: int, shape: tuple[int, ...], leaves: list[Any]) -> None:
    if level == len(shape):
        if isinstance(value, list):
            raise _bad(f"Encountered list at unexpected level: {level} expected < {level}")
        leaves.append(value)
        return
    if not isinstance(value, list):
        raise _bad(
            f"JSON Value: {_show(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if len(value) != shape[level]:
        raise _bad(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    if level == len(shape) - 1:
        # The innermost lists hold nearly all of a request: taken whole, not one by one.
        if list in set(map(type, value)):
            raise _bad(
                f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}"
            )
        leaves.extend(value)
        return
    for item in value:
        _flatten(item, level + 1, shape, leaves)


_PLAIN_TYPES: Mapping[str, set[type]] = {
    "f": {int, float},
    "i": {int},
    "u": {int},
    "b": {bool},
    "O": {str, dict},
}
"""Python's types of JSON values that a dtype takes, by NumPy's kind."""


def _typed(leaves: list[Any], spec: TensorSpec) -> NDArray[Any]:
    dtype = spec.array_dtype
    allowed = None if dtype is None else _PLAIN_TYPES.get(dtype.kind)
    if dtype is None or allowed is None:
        raise ServingError(Code.UNIMPLEMENTED, f"{spec.dtype} cannot be sent as JSON")
    found = set(map(type, leaves))
    if not found <= allowed:
        culprit = next(leaf for leaf in leaves if type(leaf) not in allowed)
        raise _bad(f"JSON Value: {_show(culprit)} is not of expected type: {spec.dtype}")
    if dtype.kind == "O":
        array = np.empty(len(leaves), dtype=object)
        array[:] = [_bytes_of(leaf) for leaf in leaves]
        return array
    if dtype.kind == "f":
        return _floats(leaves, spec, has_integers=int in found)
    try:
        return np.array(leaves, dtype=dtype)
    except OverflowError as error:
        raise _bad(f"a JSON value does not fit into {spec.dtype}: {error}") from error


def _floats(leaves: list[Any], spec: TensorSpec, *, has_integers: bool) -> NDArray[Any]:
    """Floating point values, refused where a whole number or a size would be lost."""
    limits = np.finfo(spec.array_dtype)
    if has_integers:
        largest = 2 ** (limits.nmant + 1) - 1
        for leaf in leaves:
            if type(leaf) is int and abs(leaf) > largest:
                raise _bad(
                    f"Cannot convert JSON value: {_show(leaf)} to {spec.dtype} without loss of "
                    "precision."
                )
    wide = np.array(leaves, dtype=np.float64)
    too_large = np.isfinite(wide) & (np.abs(wide) > float(limits.max))
    if too_large.any():
        raise _bad(
            f"Cannot convert JSON value: {_show(leaves[int(too_large.argmax())])} to {spec.dtype} "
            "without loss of precision."
        )
    return wide.astype(spec.array_dtype)


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value):
        raise _bad(f"JSON Value: {_show(value)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except binascii.Error as error:
        raise _bad(f"Unable to base64 decode: {error}") from error


def _from_array(name: str, array: NDArray[Any]) -> Any:
    """Nested lists; a float32 is written with as few digits as tell it from its neighbours."""
    if array.dtype.kind == "O":
        return _strings(name, array)
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        return array.astype("U32").astype(np.float64).tolist()
    if array.dtype.kind not in "fiub":
        raise ServingError(
            Code.UNIMPLEMENTED, f"output {name}: {array.dtype.name} cannot be told in JSON"
        )
    return array.tolist()


def _strings(name: str, array: NDArray[Any]) -> Any:
    as_bytes = name.endswith(_BYTES_SUFFIX)

    def said(value: Any) -> Any:
        raw = value if isinstance(value, bytes) else str(value).encode()
        if not as_bytes:
            try:
                return raw.decode()
            except UnicodeDecodeError:
                return {"b64": base64.b64encode(raw).decode()}
        return {"b64": base64.b64encode(raw).decode()}

    def nested(value: Any) -> Any:
        return [nested(item) for item in value] if isinstance(value, list) else said(value)

    return nested(array.tolist())


def _show(value: Any) -> str:
    """The value as JSON, cut where it is long; what is cut is never written."""
    text = ""
    for piece in json.JSONEncoder().iterencode(value):
        text += piece
        if len(text) > _SHOWN:
            return f"{text[:_SHOWN]}..."
    return text


def _bad(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
