"""The MLflow registry as a resource."""

import dagster as dg

from smartgrid_core.protocols import ModelRegistry
from smartgrid_io.mlflow.registry import MlflowRegistry


@dg.resource(required_resource_keys={"settings"})
def model_registry(context: dg.InitResourceContext) -> ModelRegistry:
    """Trainings, model versions and aliases; the server is asked only when something needs it."""
    return MlflowRegistry(context.resources.settings.mlflow_url)
