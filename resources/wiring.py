"""All resources by their keys, wired to each other.

What others rest on is configured at launch: so Dagster hands them the very resource of the run
instead of making it anew within each of them.
"""

from typing import Any

from resources.alert_store import AlertStoreResource
from resources.clock import SystemClock
from resources.lake import LakeResource
from resources.landing import LandingResource
from resources.mlflow_tracking import MlflowTrackingResource
from resources.model_registry import ModelRegistryResource
from resources.model_server import ModelRepositoryResource, ModelServerResource
from resources.quality import QualityResource
from resources.settings import SettingsResource
from resources.warehouse import WarehouseResource
from resources.weather_source import WeatherSourceResource
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.settings import Settings


def build_resources(**overrides: Any) -> dict[str, Any]:
    """Return every resource by its key; a keyword replaces the resource of that key.

    What rests on a replaced resource rests on the replacement. Raises ConfigurationError, which
    names the known keys, for a keyword that is none of them.
    """
    settings = overrides.get("settings", SettingsResource.configure_at_launch(read=Settings))
    clock = overrides.get("clock", SystemClock())
    warehouse = overrides.get("warehouse", WarehouseResource.configure_at_launch(settings=settings))
    model_server = overrides.get(
        "model_server", ModelServerResource.configure_at_launch(settings=settings)
    )
    resources = {
        "settings": settings,
        "clock": clock,
        "lake": LakeResource(settings=settings),
        "warehouse": warehouse,
        "landing": LandingResource(settings=settings, warehouse=warehouse, clock=clock),
        "weather_source": WeatherSourceResource(settings=settings),
        "mlflow": MlflowTrackingResource(settings=settings),
        "model_registry": ModelRegistryResource(settings=settings),
        "model_server": model_server,
        "model_repository": ModelRepositoryResource(settings=settings, model_server=model_server),
        "alert_store": AlertStoreResource(settings=settings, warehouse=warehouse),
        "quality": QualityResource(settings=settings),
    }
    unknown = sorted(overrides.keys() - resources.keys())
    if unknown:
        raise ConfigurationError(
            f"resources: nothing has the key {', '.join(unknown)} and could be replaced; the keys"
            f" are {', '.join(resources)}"
        )
    return resources | overrides
