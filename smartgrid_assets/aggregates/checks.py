"""Checks of hourly and daily truth: contracts block, suites warn."""

from smartgrid_assets.quality import make_quality_check, make_schema_check
from smartgrid_core.contracts.aggregates import (
    DailyConsumption,
    FeederLoad,
    MeterConsumption,
    SensorAggregates,
)

CHECKS = [
    make_schema_check(SensorAggregates),
    make_schema_check(MeterConsumption),
    make_schema_check(DailyConsumption),
    make_schema_check(FeederLoad),
    make_quality_check(SensorAggregates),
    make_quality_check(MeterConsumption),
    make_quality_check(FeederLoad),
]
