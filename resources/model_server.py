"""The model server's client, and the shelf it serves from, as resources."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from smartgrid_core.ports import ModelServer, ModelShelf
from smartgrid_io.serving import publisher
from smartgrid_io.serving.client import ModelServerClient

FIRST_ANSWER_S = 60.0
"""A model server that has just been started imports TensorFlow for a quarter of a minute."""


@dataclass(frozen=True, slots=True)
class PublishedModels:
    """The model server's folder, with a client that says what has become of a version."""

    base: str
    client: ModelServerClient

    def publish(self, saved_model: Path, *, model: str, version: int) -> Path:
        """Put a version there, whole or not at all; the same again changes nothing."""
        return publisher.publish(saved_model, base=self.base, model=model, version=version)

    def wait_until_live(self, model: str, version: int) -> None:
        """Return once the server answers with it."""
        publisher.wait_until_available(self.client, model, version, timeout=FIRST_ANSWER_S)

    def withdraw(self, model: str, version: int) -> None:
        """Take a version away; none is no error."""
        publisher.withdraw(base=self.base, model=model, version=version)

    def prune(self, model: str) -> Sequence[int]:
        """Remove versions too old to fall back to; returns which."""
        return publisher.prune(base=self.base, model=model)


@dg.resource(required_resource_keys={"settings"})
def model_server(context: dg.InitResourceContext) -> Iterator[ModelServer]:
    """Asks the model server over gRPC."""
    settings = context.resources.settings
    with ModelServerClient(settings.model_server_grpc, settings.model_server_rest) as client:
        yield client


@dg.resource(required_resource_keys={"settings", "model_server"})
def model_shelf(context: dg.InitResourceContext) -> ModelShelf:
    """The folder of served models."""
    return PublishedModels(
        base=context.resources.settings.model_place, client=context.resources.model_server
    )
