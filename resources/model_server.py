"""The model server's client, and the model repository that it serves from, as resources."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from smartgrid_core.model_protocols import ModelRepository, ModelServer
from smartgrid_core.settings import Settings
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.model_repository import ModelServerRepository


class ModelServerResource(dg.ConfigurableResource[ModelServer]):
    """Asks the model server over gRPC."""

    settings: dg.ResourceDependency[Settings]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[ModelServer]:
        """Hold the client's channel for the length of a run."""
        with ModelServerClient(
            self.settings.model_server_grpc, self.settings.model_server_rest
        ) as client:
            yield client


class ModelRepositoryResource(dg.ConfigurableResource[ModelRepository]):
    """The folder from which the model server takes its versions, and which of them it loads."""

    settings: dg.ResourceDependency[Settings]
    model_server: dg.ResourceDependency[ModelServerClient]

    def create_resource(self, context: dg.InitResourceContext) -> ModelRepository:
        """Return the model repository at the settings' place."""
        return ModelServerRepository(base=self.settings.model_place, client=self.model_server)
