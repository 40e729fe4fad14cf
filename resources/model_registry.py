"""The MLflow registry as a resource."""

import dagster as dg

from smartgrid_core.model_protocols import ModelRegistry
from smartgrid_core.settings import Settings
from smartgrid_io.mlflow.registry import MlflowRegistry


class ModelRegistryResource(dg.ConfigurableResource[ModelRegistry]):
    """Trainings, model versions and aliases; the server is asked only when something needs it."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> ModelRegistry:
        """Return the registry of the MLflow server that the settings name."""
        return MlflowRegistry(self.settings.mlflow_url)
