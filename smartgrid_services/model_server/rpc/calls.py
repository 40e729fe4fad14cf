"""What the services share: model specs, and errors as the status of a call."""

import logging
from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_serving.apis import model_pb2

from smartgrid_services.model_server.status import Code, ServingError

log = logging.getLogger(__name__)

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


def answer_call(context: grpc.ServicerContext, work: Callable[[], Any]) -> Any:
    """Return the result of the work; a refusal becomes the call's status.

    An unforeseen error is logged and not described to the caller.
    """
    try:
        return work()
    except ServingError as error:
        context.abort(_GRPC_CODES[error.code.value], error.message)
    except MemoryError:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the request needs too much memory")
    except Exception:
        log.exception("a gRPC call failed")
        context.abort(grpc.StatusCode.INTERNAL, "internal error, see the server's log")


def read_requested(request: Any) -> tuple[str, int | None, str | None]:
    """Model, version and label of a request; neither version nor label is the newest one."""
    if not request.HasField("model_spec"):
        raise ServingError(Code.INVALID_ARGUMENT, "Missing ModelSpec")
    return read_model_spec(request.model_spec)


def read_model_spec(spec: Any) -> tuple[str, int | None, str | None]:
    """The same of a ModelSpec."""
    if not spec.name:
        raise ServingError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
    if spec.WhichOneof("version_choice") == "version_label":
        return spec.name, None, spec.version_label
    return spec.name, spec.version.value if spec.HasField("version") else None, None


def build_model_spec(model: str, version: int, signature: str = "") -> Any:
    """Return the ModelSpec of an answer: which version gave it."""
    spec = model_pb2.ModelSpec(name=model, signature_name=signature)
    spec.version.value = version
    return spec
