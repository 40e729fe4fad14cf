"""Checks of hourly and daily truth: contracts block, suites warn."""

from smartgrid_assets.quality import quality_check, schema_check
from smartgrid_core.contracts.aggregates import (
    DailyConsumption,
    FeederLoad,
    MeterConsumption,
    SensorAggregates,
)

CHECKS = [
    schema_check(SensorAggregates),
    schema_check(MeterConsumption),
    schema_check(DailyConsumption),
    schema_check(FeederLoad),
    quality_check(SensorAggregates),
    quality_check(MeterConsumption),
    quality_check(FeederLoad),
]
