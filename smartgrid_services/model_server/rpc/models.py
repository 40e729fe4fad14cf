"""ModelService: GetModelStatus and HandleReloadConfigRequest."""

from typing import Any

import grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from smartgrid_services.model_server.model_config import convert_model_config
from smartgrid_services.model_server.rpc.calls import answer_call, read_requested
from smartgrid_services.model_server.version_manager import VersionManager
from smartgrid_services.model_server.watch import ModelWatch

_RELOAD_SECONDS = 600.0
"""What new models of a sent config get to load, where the caller sets no earlier deadline."""


class ModelService:
    """Answers over the versions that answer and the watch that keeps them current."""

    def __init__(self, manager: VersionManager, watch: ModelWatch) -> None:
        self._manager = manager
        self._watch = watch

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return the states of all versions of a model, or of the one asked for."""
        return answer_call(context, lambda: self._read_status(request))

    def HandleReloadConfigRequest(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Serve the models of this config and no others; returns once the new ones answer."""
        left = context.time_remaining()
        timeout = _RELOAD_SECONDS if left is None else min(left, _RELOAD_SECONDS)
        return answer_call(context, lambda: self._reload(request, timeout=timeout))

    def _read_status(self, request: Any) -> Any:
        response = get_model_status_pb2.GetModelStatusResponse()
        # Like TensorFlow Serving, which looks at the version but not at the label.
        model, version, _ = read_requested(request)
        for state in self._manager.list_states(model, version):
            line = response.model_version_status.add(version=state.version, state=int(state.state))
            line.status.error_code = int(state.code)
            line.status.error_message = state.message
        return response

    def _reload(self, request: Any, *, timeout: float) -> Any:
        self._watch.reload(convert_model_config(request.config), timeout=timeout)
        return model_management_pb2.ReloadConfigResponse()
