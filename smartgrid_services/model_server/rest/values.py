"""JSON values as TensorFlow Serving reads and names them."""

import base64
import binascii
import json
import math
from typing import Any, NoReturn

import numpy as np

from smartgrid_services.model_server.status import Code, ServingError

_SHOWN = 80
_FLOAT32_WHOLE = 2**24 - 1


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the request's JSON object; NaN, Infinity and -Infinity are numbers.

    Raises ServingError for a body that is no JSON object.
    """
    if not body:
        refuse("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        refuse(f"JSON Parse error: {error.msg} at offset: {error.pos}")
    except RecursionError:
        refuse("JSON Parse error: lists and objects are nested too deep")
    except ValueError as error:
        # Bytes that are no text, or a number of more digits than Python reads.
        refuse(f"JSON Parse error: {error}")
    if not isinstance(document, dict):
        refuse(f"JSON Value: {format_value(document)} Is not object")
    return document


def read_signature_name(document: dict[str, Any]) -> str:
    """Return the signature that a request names, empty for the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        refuse(
            f"JSON Value: {format_value(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def is_base64(value: Any) -> bool:
    """Return whether the value is {"b64": "..."}, which stands for bytes."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def decode_base64(value: Any) -> bytes:
    """Return the bytes of {"b64": "..."}; white space and missing padding are forgiven."""
    if not is_base64(value):
        refuse(f"JSON Value: {format_value(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, "Unable to base64 decode") from error


def is_lossless_float32(value: float) -> bool:
    """Return whether a float32 can stand for the number: whole ones exactly, others in size.

    >>> is_lossless_float32(0.1), is_lossless_float32(2**24 + 1)
    (True, False)
    """
    if isinstance(value, int):
        return abs(value) <= _FLOAT32_WHOLE
    with np.errstate(over="ignore"):
        return not math.isfinite(value) or bool(np.isfinite(np.float32(value)))


def to_bytes(value: Any) -> bytes:
    """Return the bytes of a string, or of {"b64": "..."}; refuses a lone surrogate."""
    if not isinstance(value, str):
        return decode_base64(value)
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"JSON Value: {format_value(value)} is no text: {error.reason}"
        ) from error


def format_value(value: Any) -> str:
    """Return the value as JSON for an error message, cut where it is long."""
    text = ""
    for piece in json.JSONEncoder().iterencode(value):
        text += piece
        if len(text) > _SHOWN:
            break
    return cut_text(text)


def cut_text(text: str) -> str:
    """Return the beginning of a text that is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def name_json_type(value: Any) -> str:
    """Return the JSON type's name in TensorFlow Serving's messages."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, str):
        return "String"
    if isinstance(value, list):
        return "Array"
    return "Object" if isinstance(value, dict) else "Number"


def refuse(message: str) -> NoReturn:
    """Raise the ServingError of a request that is not valid."""
    raise ServingError(Code.INVALID_ARGUMENT, message)
