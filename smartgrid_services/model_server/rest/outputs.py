"""Outputs as TensorFlow Serving's JSON."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartgrid_services.model_server.rest.inputs import Layout
from smartgrid_services.model_server.rest.values import refuse
from smartgrid_services.model_server.servables.inference import Classes
from smartgrid_services.model_server.status import Code, ServingError

_BYTES_SUFFIX = "_bytes"
"""Outputs so named are bytes and travel as {"b64": ...}; other strings travel as text."""


def write_outputs(outputs: Mapping[str, NDArray[Any]], *, layout: Layout) -> bytes:
    """Return `{"predictions": [...]}` row by row, or `{"outputs": ...}`; one output stands bare."""
    if layout == "row":
        _check_batch(outputs)
    values = {name: _from_array(name, array) for name, array in outputs.items()}
    if layout == "column":
        bare = next(iter(values.values())) if len(values) == 1 else values
        return json.dumps({"outputs": bare}).encode()
    if len(values) == 1:
        return json.dumps({"predictions": next(iter(values.values()))}).encode()
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return json.dumps({"predictions": rows}).encode()


def write_classes(classes: Classes) -> bytes:
    """Return `{"results": [[[label, score], ...], ...]}`, a list of pairs for every example."""
    rows = [
        [[_to_text(label), _shorten_float(score)] for label, score in row]
        for row in classes.list_rows()
    ]
    return json.dumps({"results": rows}).encode()


def write_values(values: Sequence[float]) -> bytes:
    """Return `{"results": [...]}`, one float32 value for every example."""
    return json.dumps({"results": [_shorten_float(value) for value in values]}).encode()


def _check_batch(outputs: Mapping[str, NDArray[Any]]) -> None:
    """Refuse outputs without a common first dimension, in the words of TensorFlow Serving."""
    size = None
    for name, array in outputs.items():
        if array.ndim == 0:
            refuse(f"Tensor name: {name} has no shape information ")
        if len(array) < 1:
            refuse(f"Tensor name: {name} has invalid batch size: {len(array)}")
        if size is not None and len(array) != size:
            refuse(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}"
            )
        size = len(array)


def _from_array(name: str, array: NDArray[Any]) -> Any:
    """Return nested lists; a float32 has as few digits as tell it from its neighbours."""
    if array.dtype.kind == "O":
        return _to_strings(name, array)
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        return array.astype("U32").astype(np.float64).tolist()
    if array.dtype.kind not in "fiub":
        raise ServingError(
            Code.UNIMPLEMENTED, f"output {name}: {array.dtype.name} cannot be told in JSON"
        )
    return array.tolist()


def _to_strings(name: str, array: NDArray[Any]) -> Any:
    convert = _to_base64 if name.endswith(_BYTES_SUFFIX) else _to_text

    def nested(value: Any) -> Any:
        return [nested(item) for item in value] if isinstance(value, list) else convert(value)

    return nested(array.tolist())


def _to_text(value: Any) -> Any:
    """The text, or base64 for bytes that are none: raw, they would make no JSON."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _to_base64(raw)


def _to_base64(value: Any) -> dict[str, str]:
    raw = value if isinstance(value, bytes) else str(value).encode()
    return {"b64": base64.b64encode(raw).decode()}


def _shorten_float(value: float) -> float:
    return float(str(np.float32(value)))
