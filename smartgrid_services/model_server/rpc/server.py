"""Puts the services on a gRPC server."""

from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.rpc.models import ModelService
from smartgrid_services.model_server.rpc.predictions import PredictionService
from smartgrid_services.model_server.version_manager import VersionManager
from smartgrid_services.model_server.watch import ModelWatch

_SERVICES = (
    "",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
)

SetServing = Callable[[bool], None]
"""Tells health checks whether every service serves."""


def register_services(
    server: grpc.Server,
    *,
    manager: VersionManager,
    watch: ModelWatch,
    metrics: Metrics,
    largest_filled: int,
) -> SetServing:
    """Add every service to a server that is not started yet.

    Args:
        server: The gRPC server.
        manager: The versions that answer.
        watch: Takes configs that are sent.
        metrics: Where requests are counted.
        largest_filled: Bytes that a request's inputs may be filled up to.

    Returns:
        What switches the health service; it says NOT_SERVING before the first call.
    """
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(manager, metrics, largest_filled=largest_filled), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager, watch), server)
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)

    def set_serving(serving: bool) -> None:
        state = health_pb2.HealthCheckResponse
        for name in _SERVICES:
            servicer.set(name, state.SERVING if serving else state.NOT_SERVING)

    set_serving(False)
    return set_serving
