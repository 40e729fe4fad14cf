"""The one place where the graph is assembled: assets, checks, jobs, clockwork and resources."""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import dagster as dg

from resources.wiring import build_resources
from sensors.alerts import new_exceedances, waiting_messages
from sensors.arrivals import landing_arrivals
from sensors.canary import canary_watch
from sensors.drift import drift_watch
from sensors.failures import failed_runs
from sensors.late_readings import late_readings
from smartgrid_assets.alerts.delivery import deliver_alerts
from smartgrid_assets.data_docs import make_data_docs, make_data_docs_hourly
from smartgrid_assets.housekeeping import keep_house, keep_house_daily
from smartgrid_assets.jobs import JOBS
from smartgrid_assets.landing import land_files
from smartgrid_assets.schedules import SCHEDULES
from smartgrid_assets.serving.settle import settle_canary
from smartgrid_assets.weather import fetch_weather, fetch_weather_daily

ROOMS = {
    "readings": ("assets",),
    "aggregates": ("assets",),
    "findings": ("assets",),
    "features": ("assets",),
    "models": ("assets", "gate", "drift"),
    "mining": ("segments", "events", "rules", "anomalies", "inspections", "insights"),
    "serving": ("assets",),
    "alerts": ("assets",),
}
"""The rooms of the graph, in the way of the data, and where their assets stand."""

CHECKS = (
    "readings.checks",
    "aggregates.checks",
    "findings.checks",
    "features.checks",
    "models.checks",
    "mining.rule_checks",
    "mining.anomaly_checks",
    "mining.inspection_checks",
    "mining.segment_checks",
    "mining.insight_checks",
    "serving.checks",
    "alerts.checks",
)
"""Where checks stand."""

AUTOMATION = dg.AutomationConditionSensorDefinition(
    "automation_conditions",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=2,
)
"""Lets assets follow their inputs; the one that Dagster adds by itself is switched off at first."""


def build_definitions(**overrides: Any) -> dg.Definitions:
    """Return the whole project; a keyword replaces the resource of that key, as tests do.

    Raises ConfigurationError, which names the known keys, for a keyword that is none of them.
    """
    return dg.Definitions(
        assets=dg.load_assets_from_modules(
            [
                _import_room(f"{room}.{module}")
                for room, modules in ROOMS.items()
                for module in modules
            ]
        ),
        asset_checks=[check for module in CHECKS for check in _import_room(module).CHECKS],
        # For runs that no job of ours describes (automation, the UI): a process per step would
        # import everything anew for each.
        executor=dg.in_process_executor,
        jobs=[
            *(land_files, fetch_weather, *JOBS, settle_canary, deliver_alerts),
            *(make_data_docs, keep_house),
        ],
        schedules=[fetch_weather_daily, make_data_docs_hourly, keep_house_daily, *SCHEDULES],
        sensors=[
            landing_arrivals,
            late_readings,
            new_exceedances,
            waiting_messages,
            canary_watch,
            drift_watch,
            failed_runs,
            AUTOMATION,
        ],
        resources=build_resources(**overrides),
    )


def _import_room(name: str) -> ModuleType:
    return import_module(f"smartgrid_assets.{name}")


@cache
def build_project() -> dg.Definitions:
    """The whole project with its own resources, put together once in a process and its forks."""
    return build_definitions()


def warm_up() -> None:
    """Put together all that a process of Dagster needs, before it is forked."""
    build_project().get_repository_def().load_all_definitions()


@dg.definitions
def defs() -> dg.Definitions:
    """The code location that Dagster loads."""
    return build_project()
