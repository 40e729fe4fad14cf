"""Checks of what was landed: contracts block, suites warn."""

from smartgrid_assets.quality import quality_check, schema_check
from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import MeterReadings, RegisterBrackets, SensorData

CHECKS = [
    schema_check(SensorData),
    schema_check(MeterReadings),
    schema_check(RegisterBrackets),
    schema_check(GridTopology),
    schema_check(Weather),
    quality_check(SensorData),
    quality_check(MeterReadings),
]
