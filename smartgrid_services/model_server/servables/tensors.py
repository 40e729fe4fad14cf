"""TensorProto to NumPy and back, as TensorFlow Serving reads and writes it; without TensorFlow."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartgrid_services.model_server.servables.signatures import (
    Signature,
    check_names,
    check_tensor,
)
from smartgrid_services.model_server.status import Code, ServingError

LARGEST_FILLED = 256 * 1024**2
"""Bytes; a few bytes with a large shape and one repeated value would take any memory they name."""

_HALF = 19
_STRING = 7
_FIELDS: Mapping[int, tuple[np.dtype[Any], str]] = {
    1: (np.dtype(np.float32), "float_val"),
    2: (np.dtype(np.float64), "double_val"),
    3: (np.dtype(np.int32), "int_val"),
    4: (np.dtype(np.uint8), "int_val"),
    5: (np.dtype(np.int16), "int_val"),
    6: (np.dtype(np.int8), "int_val"),
    _STRING: (np.dtype(object), "string_val"),
    8: (np.dtype(np.complex64), "scomplex_val"),
    9: (np.dtype(np.int64), "int64_val"),
    10: (np.dtype(np.bool_), "bool_val"),
    17: (np.dtype(np.uint16), "int_val"),
    18: (np.dtype(np.complex128), "dcomplex_val"),
    _HALF: (np.dtype(np.float16), "half_val"),
    22: (np.dtype(np.uint32), "uint32_val"),
    23: (np.dtype(np.uint64), "uint64_val"),
}
"""NumPy's dtype and the field of the values, by DataType's number."""

_NUMBERS = {dtype: (number, field) for number, (dtype, field) in _FIELDS.items()}


def read_inputs(
    tensors: Mapping[str, Any], signature: Signature, *, largest_filled: int = LARGEST_FILLED
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a request's TensorProtos, which must be those that the signature takes.

    Names, dtypes and shapes are checked before any memory is taken. Raises ServingError, also if
    what is not sent but filled up would take more than `largest_filled` bytes in all.
    """
    check_names(signature, tensors.keys())
    arrays = {}
    for name, spec in signature.inputs.items():
        tensor = tensors[name]
        sizes, dtype, _ = _describe_tensor(name, tensor)
        check_tensor(name, spec, dtype, sizes)
        arrays[name] = read_tensor(name, tensor, largest_filled=largest_filled)
        largest_filled -= max(0, arrays[name].nbytes - tensor.ByteSize())
    return arrays


def read_tensor(name: str, tensor: Any, *, largest_filled: int = LARGEST_FILLED) -> NDArray[Any]:
    """Return the array of a TensorProto; raises ServingError for one that is not whole.

    Too few values are filled up with the last one, none at all with zeros; no array that is filled
    up takes more than `largest_filled` bytes.
    """
    sizes, dtype, field = _describe_tensor(name, tensor)
    count = math.prod(sizes)
    if tensor.tensor_content:
        values = _read_content(name, tensor.tensor_content, dtype, count)
    else:
        values = _read_values(getattr(tensor, field), dtype, field)
    if len(values) > count:
        raise _unreadable(name, f"{len(values)} values for a shape of {count}")
    if len(values) < count:
        if count * dtype.itemsize > largest_filled:
            raise _unreadable(
                name, f"the shape {list(sizes)} is too large to be filled up from {len(values)}"
            )
        values = _repeat_last_value(values, count)
    try:
        return values.reshape(sizes)
    except ValueError as error:
        # More dimensions than an array may have, or larger ones beside an empty one.
        raise _unreadable(name, f"no array has the shape {list(sizes)}: {error}") from error


def _describe_tensor(name: str, tensor: Any) -> tuple[tuple[int, ...], np.dtype[Any], str]:
    """Return shape, dtype and the name of the field that holds the values."""
    sizes = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise _unreadable(name, f"the shape {list(sizes)} is not full")
    if tensor.dtype not in _FIELDS:
        raise _unreadable(name, f"dtype {tensor.dtype} cannot be read")
    return sizes, *_FIELDS[tensor.dtype]


def write_tensor(array: NDArray[Any], tensor: Any) -> None:
    """Fill a TensorProto with one field per value, where clients of TensorFlow Serving look."""
    dtype = np.dtype(object) if array.dtype.kind in "SU" else array.dtype
    found = _NUMBERS.get(dtype)
    if found is None:
        raise ServingError(Code.UNIMPLEMENTED, f"a tensor of {array.dtype} cannot be sent")
    number, field = found
    tensor.dtype = number
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    flat = array.ravel()
    if number == _STRING:
        values: list[Any] = [
            item if isinstance(item, bytes) else str(item).encode() for item in flat.tolist()
        ]
    elif dtype.kind == "c":
        values = flat.view(flat.real.dtype).tolist()
    elif number == _HALF:
        values = flat.view(np.uint16).tolist()
    else:
        values = flat.tolist()
    getattr(tensor, field).extend(values)


def _read_content(name: str, content: bytes, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """Return the values of `tensor_content`, (count,).

    Args:
        name: Name of the input, for the error.
        content: The values in native byte order.
        dtype: NumPy's dtype of the values.
        count: How many values the shape asks for.

    Raises:
        ServingError: For strings, and for bytes that are more or fewer than the values.
    """
    if dtype.kind == "O":
        raise _unreadable(name, "strings must come in string_val")
    if len(content) != count * dtype.itemsize:
        raise _unreadable(name, f"{len(content)} bytes for {count} values of {dtype.name}")
    return np.frombuffer(content, dtype=dtype)


def _read_values(values: Any, dtype: np.dtype[Any], field: str) -> NDArray[Any]:
    if dtype.kind == "O":
        array = np.empty(len(values), dtype=object)
        array[:] = list(values)
        return array
    if field == "half_val":
        return np.array(values, dtype=np.int32).astype(np.uint16).view(np.float16)
    if field == "int_val":
        # An int8 travels as an int32; one that does not fit is cut, as C++ does.
        return np.array(values, dtype=np.int32).astype(dtype)
    if dtype.kind == "c":
        parts = np.array(values, dtype=np.float32 if dtype.itemsize == 8 else np.float64)
        return parts[: len(parts) // 2 * 2].view(dtype)
    return np.array(values, dtype=dtype)


def _repeat_last_value(values: NDArray[Any], count: int) -> NDArray[Any]:
    filled = np.empty(count, dtype=values.dtype)
    filled[: len(values)] = values
    if len(values):
        filled[len(values) :] = values[-1:]
    else:
        filled[:] = b"" if values.dtype.kind == "O" else 0
    return filled


def _unreadable(name: str, why: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, f"tensor parsing error: {name}: {why}")
