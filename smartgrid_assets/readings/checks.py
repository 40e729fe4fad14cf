"""Checks of what was landed: contracts block, suites warn."""

from smartgrid_assets.quality import make_quality_check, make_schema_check
from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import MeterReadings, RegisterBrackets, SensorData

CHECKS = [
    make_schema_check(SensorData),
    make_schema_check(MeterReadings),
    make_schema_check(RegisterBrackets),
    make_schema_check(GridTopology),
    make_schema_check(Weather),
    make_quality_check(SensorData),
    make_quality_check(MeterReadings),
]
