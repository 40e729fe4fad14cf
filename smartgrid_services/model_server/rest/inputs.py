"""Predict requests' JSON to arrays, by TensorFlow Serving's rules."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smartgrid_services.model_server.rest.values import (
    format_value,
    is_base64,
    name_json_type,
    refuse,
    to_bytes,
)
from smartgrid_services.model_server.servables.signatures import Signature, TensorSpec
from smartgrid_services.model_server.status import Code, ServingError

Layout = Literal["row", "column"]

_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class PredictInput:
    """The values of a predict request.

    Attributes:
        layout: "row" for a list of rows, "column" for columns by input name.
        values: The JSON value of `instances` or `inputs`.
    """

    layout: Layout
    values: Any


def find_predict_input(document: dict[str, Any]) -> PredictInput:
    """Return the `instances` or `inputs` of a request; raises ServingError for both or none."""
    if "instances" in document and "inputs" in document:
        refuse(
            f"JSON Value: {format_value(document)} Not formatted correctly expecting only "
            "one of 'inputs' "
            "or 'instances' keys to exist "
        )
    if "inputs" in document:
        return PredictInput("column", document["inputs"])
    if "instances" not in document:
        refuse("Missing 'inputs' or 'instances' key")
    rows = document["instances"]
    if not isinstance(rows, list):
        refuse(f"JSON Value: {format_value(document)} Expecting 'instances' to be an list/array")
    if not rows:
        refuse(f"JSON Value: {format_value(document)} No values in 'instances' array")
    return PredictInput("row", rows)


def read_inputs(given: PredictInput, signature: Signature) -> dict[str, NDArray[Any]]:
    """Return arrays by input name, of the signature's dtypes.

    Raises ServingError naming the row and the value that do not fit.
    """
    if not signature.inputs:
        refuse(f"Failed to get input map for signature: {signature.name}")
    if given.layout == "column":
        columns = _read_columns(given.values, signature)
        return {name: _to_array(values, signature.inputs[name]) for name, values in columns.items()}
    columns = _transpose_rows(given.values, signature)
    try:
        return {name: _to_array(values, signature.inputs[name]) for name, values in columns.items()}
    except ServingError:
        # Columns are quick but do not know which row it was.
        _check_rows(given.values, signature)
        raise


def _transpose_rows(rows: list[Any], signature: Signature) -> dict[str, Any]:
    """Return the values of all rows by input name; a plain list is the only input."""
    names = signature.inputs.keys()
    if not isinstance(rows[0], dict) and len(names) > 1:
        refuse(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    if not _is_object(rows[0]):
        for number, row in enumerate(rows):
            if _is_object(row):
                refuse(f"Expecting value/list but got object at item {number} of input list")
        return {next(iter(names)): rows}
    for number, row in enumerate(rows):
        if not _is_object(row):
            refuse(f"Expecting object but got list at item {number} of input list")
        if row.keys() == names:
            continue
        for name in row:
            if name not in names:
                refuse(
                    f"Failed to process element: {number} key: {name} of 'instances' list. Error: "
                    f"INVALID_ARGUMENT: JSON object: does not have named input: {name}"
                )
        refuse(
            f"Failed to process element: {number} of 'instances' list. JSON object: "
            f"{format_value(row)} "
            f"must only have keys: {','.join(sorted(names))}"
        )
    return {name: [row[name] for row in rows] for name in names}


def _check_rows(rows: list[Any], signature: Signature) -> None:
    """Raise for the first row that cannot be read or differs in shape from the first one."""
    first: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(rows):
        items = row.items() if _is_object(row) else [(next(iter(signature.inputs)), row)]
        for name, value in items:
            key = f" key: {name}" if _is_object(row) else ""
            where = f"Failed to process element: {number}{key} of 'instances' list. Error: "
            try:
                found = _to_array(value, signature.inputs[name])
            except ServingError as error:
                raise ServingError(
                    error.code, f"{where}{error.code.name}: {error.message}"
                ) from error
            shape = first.setdefault(name, found.shape)
            if found.size != np.prod(shape, dtype=int):
                expected = int(np.prod(shape, dtype=int))
                refuse(
                    f"{where}INVALID_ARGUMENT: Expecting tensor size: {expected} "
                    f"but got: {found.size}"
                )
            if found.shape != shape:
                refuse(
                    f"{where}INVALID_ARGUMENT: Expecting shape {_format_shape(shape)} "
                    f"but got: {_format_shape(found.shape)}"
                )


def _format_shape(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _read_columns(values: Any, signature: Signature) -> dict[str, Any]:
    """Return the values by input name; a plain value is the only input."""
    if not _is_object(values):
        if len(signature.inputs) > 1:
            refuse(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        return {next(iter(signature.inputs)): values}
    for name in sorted(signature.inputs):
        if name not in values:
            refuse(f"Missing named input: {name} in 'inputs' object.")
    return {name: values[name] for name in signature.inputs}


def _is_object(value: Any) -> bool:
    """Return whether the value has named members; {"b64": ...} is a value."""
    return isinstance(value, dict) and not is_base64(value)


def _to_array(value: Any, spec: TensorSpec) -> NDArray[Any]:
    """Return nested lists of one shape as an array.

    Raises ServingError naming where the lists are ragged or a value has another type.
    """
    if spec.array_dtype is None:
        raise ServingError(Code.UNIMPLEMENTED, f"{spec.dtype} cannot be sent as JSON")
    if isinstance(value, list) and value and not isinstance(value[0], list):
        # Most columns are plain lists.
        kinds = set(map(type, value))
        if list not in kinds:
            return _convert_leaves(value, spec, kinds)
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    if len(shape) > _DEEPEST:
        refuse(f"lists are nested {len(shape)} deep, at most {_DEEPEST} are taken")
    leaves: list[Any] = []
    _flatten(value, 0, tuple(shape), leaves)
    return _convert_leaves(leaves, spec, set(map(type, leaves))).reshape(shape)


def _flatten(value: Any, level: int, shape: tuple[int, ...], leaves: list[Any]) -> None:
    """Append the leaves of nested lists in order.

    Args:
        value: Nested lists, or a leaf at the innermost level.
        level: How deep `value` lies in the request.
        shape: The shape that the lists must have, from the first one of each level.
        leaves: Where the leaves are appended.

    Raises:
        ServingError: For lists of different lengths or depths.
    """
    if level == len(shape):
        if isinstance(value, list):
            refuse(f"Encountered list at unexpected level: {level} expected < {level}")
        leaves.append(value)
        return
    if not isinstance(value, list):
        refuse(
            f"JSON Value: {format_value(value)} found at incorrect level: {level + 1} in "
            "the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if len(value) != shape[level]:
        refuse(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    if level == len(shape) - 1:
        # The innermost lists hold nearly all of a request: taken whole, not one by one.
        if list in set(map(type, value)):
            refuse(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
        leaves.extend(value)
        return
    for item in value:
        _flatten(item, level + 1, shape, leaves)


_LARGEST_WHOLE: Mapping[Any, int] = {
    np.dtype(kind): 2 ** (np.finfo(kind).nmant + 1) - 1
    for kind in (np.float16, np.float32, np.float64)
}
"""Up to here every whole number has a floating point number of its own."""

_ARRAY_CODES: Mapping[Any, str] = {np.dtype(np.float32): "f", np.dtype(np.float64): "d"}

_PLAIN_TYPES: Mapping[str, set[type]] = {
    "f": {int, float},
    "i": {int},
    "u": {int},
    "b": {bool},
    "O": {str, dict},
}
"""Python's types of JSON values that a dtype takes, by NumPy's kind."""


def _convert_leaves(leaves: list[Any], spec: TensorSpec, found: set[type]) -> NDArray[Any]:
    """Return JSON values of the Python types `found` as the tensor's dtype, (n_leaves,)."""
    dtype = spec.array_dtype
    allowed = None if dtype is None else _PLAIN_TYPES.get(dtype.kind)
    if dtype is None or allowed is None:
        raise ServingError(Code.UNIMPLEMENTED, f"{spec.dtype} cannot be sent as JSON")
    if not found <= allowed:
        culprit = next(leaf for leaf in leaves if type(leaf) not in allowed)
        refuse(
            f"JSON Value: {format_value(culprit)} Type: {name_json_type(culprit)} "
            f"is not of expected type: {_format_type(spec)}"
        )
    if dtype.kind == "O":
        strings = np.empty(len(leaves), dtype=object)
        strings[:] = [to_bytes(leaf) for leaf in leaves]
        return strings
    if dtype.kind == "f":
        return _convert_floats(leaves, spec, has_integers=int in found)
    try:
        return np.array(leaves, dtype=dtype)
    except OverflowError as error:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"a JSON value does not fit into {_format_type(spec)}: {error}"
        ) from error


def _convert_floats(leaves: list[Any], spec: TensorSpec, *, has_integers: bool) -> NDArray[Any]:
    """Return numbers as floats; refuses those of which a whole number or the size would be lost."""
    largest = _LARGEST_WHOLE[spec.array_dtype]
    quick = _convert_floats_quickly(leaves, spec, largest if has_integers else None)
    if quick is not None:
        return quick
    if has_integers:
        for leaf in leaves:
            if type(leaf) is int and abs(leaf) > largest:
                refuse(_describe_loss(leaf, spec))
    wide = np.array(leaves, dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(spec.array_dtype)
    too_large = np.isfinite(wide) & ~np.isfinite(narrow)
    if too_large.any():
        refuse(_describe_loss(leaves[int(too_large.argmax())], spec))
    return narrow


def _convert_floats_quickly(
    leaves: list[Any], spec: TensorSpec, largest: int | None
) -> NDArray[Any] | None:
    """Return numbers as floats if nothing needs a closer look, which is nearly always so."""
    code = _ARRAY_CODES.get(spec.array_dtype)
    if code is None or not leaves:
        return None
    try:
        values = array(code, leaves)
    except OverflowError:
        return None
    found = np.frombuffer(values, dtype=spec.array_dtype)
    if not np.isfinite(found).all() or (largest is not None and np.abs(found).max() > largest):
        return None
    return found


def _describe_loss(value: Any, spec: TensorSpec) -> str:
    return (
        f"Cannot convert JSON value: {format_value(value)} to {_format_type(spec)} "
        "without loss of precision."
    )


def _format_type(spec: TensorSpec) -> str:
    """Return TensorFlow's short name of a dtype: DT_FLOAT is float."""
    return spec.dtype.removeprefix("DT_").lower()
