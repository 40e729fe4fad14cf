"""The one place where the graph is assembled: assets, checks, jobs, clockwork and resources."""

from importlib import import_module
from types import ModuleType
from typing import Any

import dagster as dg

from resources.alert_book import alert_book
from resources.clock import clock
from resources.lake import lake
from resources.mlflow_tracking import mlflow_tracking
from resources.model_registry import model_registry
from resources.model_server import model_server, model_shelf
from resources.quality import quality
from resources.settings import settings
from resources.warehouse import warehouse
from smartgrid_assets.jobs import JOBS
from smartgrid_assets.schedules import SCHEDULES

GROUPS = ("readings", "aggregates", "features", "models", "serving", "alerts")
"""The rooms of the graph, in the way of the data."""

CHECKED = ("readings", "aggregates", "features")
"""The rooms whose tables are checked."""


def build_definitions(**overrides: Any) -> dg.Definitions:
    """The whole project; a keyword replaces the resource of that name, as tests do."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules([_room(group, "assets") for group in GROUPS]),
        asset_checks=[check for checks in CHECKED for check in _room(checks, "checks").CHECKS],
        jobs=JOBS,
        schedules=SCHEDULES,
        resources={
            "settings": settings,
            "clock": clock,
            "lake": lake,
            "warehouse": warehouse,
            "mlflow": mlflow_tracking,
            "model_registry": model_registry,
            "model_server": model_server,
            "model_shelf": model_shelf,
            "alert_book": alert_book,
            "quality": quality,
            **overrides,
        },
    )


def _room(group: str, module: str) -> ModuleType:
    return import_module(f"smartgrid_assets.{group}.{module}")


@dg.definitions
def defs() -> dg.Definitions:
    """The code location that Dagster loads."""
    return build_definitions()
