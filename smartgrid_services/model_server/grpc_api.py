"""The gRPC side: PredictionService and ModelService of TensorFlow Serving."""

import logging
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from smartgrid_services.model_server.catalog import Catalog
from smartgrid_services.model_server.model_config import models_of
from smartgrid_services.model_server.signatures import compute, signature_of
from smartgrid_services.model_server.status import Code, ServingError
from smartgrid_services.model_server.watch import Watch

log = logging.getLogger(__name__)

_LARGEST_TENSOR = 2**30
"""Elements; a tensor of one repeated value would otherwise take any memory it names."""

_RELOAD_SECONDS = 600.0
"""What new models of a sent config get to load, where the caller sets no earlier deadline."""

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_SIGNATURE_DEF = "signature_def"


def register(server: grpc.Server, catalog: Catalog, watch: Watch) -> None:
    """Add both services to a server that is not started yet."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(catalog), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(catalog, watch), server)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the other methods answer UNIMPLEMENTED."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Outputs of one signature on one batch, and the version that computed them."""
        return _answer(context, lambda: self._predict(request))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """The signatures of a live version."""
        return _answer(context, lambda: self._metadata(request))

    def _predict(self, request: Any) -> Any:
        with self._catalog.hold(*_asked(request.model_spec)) as live:
            signature = signature_of(live.servable, request.model_spec.signature_name)
            inputs = {name: _read(name, tensor) for name, tensor in request.inputs.items()}
            outputs = compute(
                live.servable, signature, inputs, output_filter=list(request.output_filter)
            )
            response = predict_pb2.PredictResponse()
            response.model_spec.CopyFrom(_spec(live.model, live.version, signature.name))
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return response

    def _metadata(self, request: Any) -> Any:
        if not request.metadata_field:
            raise ServingError(
                Code.INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one field"
            )
        unknown = [name for name in request.metadata_field if name != _SIGNATURE_DEF]
        if unknown:
            raise ServingError(
                Code.INVALID_ARGUMENT, f"Metadata field {unknown[0]} is not supported"
            )
        with self._catalog.hold(*_asked(request.model_spec)) as live:
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.CopyFrom(_spec(live.model, live.version, ""))
            response.metadata[_SIGNATURE_DEF].Pack(live.servable.signature_map)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, catalog: Catalog, watch: Watch) -> None:
        self._catalog = catalog
        self._watch = watch

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """States of all versions of a model, or of the one asked for."""
        return _answer(context, lambda: self._status(request))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Serve the models of this config and no others, once the new ones of them answer."""
        left = context.time_remaining()
        timeout = _RELOAD_SECONDS if left is None else min(left, _RELOAD_SECONDS)
        return _answer(context, lambda: self._reload(request, timeout=timeout))

    def _reload(self, request: Any, *, timeout: float) -> Any:
        self._watch.reload(models_of(request.config), timeout=timeout)
        return model_management_pb2.ReloadConfigResponse()

    def _status(self, request: Any) -> Any:
        response = get_model_status_pb2.GetModelStatusResponse()
        for state in self._catalog.status(*_asked(request.model_spec)):
            line = response.model_version_status.add(version=state.version, state=int(state.state))
            line.status.error_code = int(state.code)
            line.status.error_message = state.message
        return response


def _answer(context: grpc.ServicerContext, work: Callable[[], Any]) -> Any:
    """Do the work; its refusal becomes the call's status, what we did not foresee is not told."""
    try:
        return work()
    except ServingError as error:
        context.abort(_GRPC_CODES[error.code.value], error.message)
    except MemoryError:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the request needs too much memory")
    except Exception:
        log.exception("a gRPC call failed")
        context.abort(grpc.StatusCode.INTERNAL, "internal error, see the server's log")


def _asked(spec: Any) -> tuple[str, int | None, str | None]:
    if not spec.name:
        raise ServingError(Code.INVALID_ARGUMENT, "Missing ModelSpec: it must name a model")
    if spec.WhichOneof("version_choice") == "version_label":
        return spec.name, None, spec.version_label
    return spec.name, spec.version.value if spec.HasField("version") else None, None


def _spec(model: str, version: int, signature: str) -> Any:
    spec = model_pb2.ModelSpec(name=model, signature_name=signature)
    spec.version.value = version
    return spec


def _read(name: str, tensor: Any) -> NDArray[Any]:
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise ServingError(Code.INVALID_ARGUMENT, f"input {name}: the shape {sizes} is not full")
    if np.prod(sizes, dtype=np.float64) > _LARGEST_TENSOR:
        raise ServingError(Code.INVALID_ARGUMENT, f"input {name}: the shape {sizes} is too large")
    try:
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError, KeyError) as error:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"input {name}: the tensor cannot be read: {error}"
        ) from error
