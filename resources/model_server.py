"""The model server's client, and the repository it serves from, as resources."""

from collections.abc import Iterator

import dagster as dg

from smartgrid_core.protocols import ModelRepository, ModelServer
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.model_repository import ModelServerRepository


@dg.resource(required_resource_keys={"settings"})
def model_server(context: dg.InitResourceContext) -> Iterator[ModelServer]:
    """Asks the model server over gRPC."""
    settings = context.resources.settings
    with ModelServerClient(settings.model_server_grpc, settings.model_server_rest) as client:
        yield client


@dg.resource(required_resource_keys={"settings", "model_server"})
def model_shelf(context: dg.InitResourceContext) -> ModelRepository:
    """The folder of served models."""
    return ModelServerRepository(
        base=context.resources.settings.model_place, client=context.resources.model_server
    )
