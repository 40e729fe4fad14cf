"""The asset that gathers every fault that the readings give away."""

from datetime import timedelta

import dagster as dg

from smartgrid_assets.domains import FINDINGS, grid_asset
from smartgrid_assets.partitions import FOLLOW
from smartgrid_core.contracts.aggregates import MeterConsumption
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.readings import (
    MeterReadings,
    ReadingFindings,
    ReadingRevisions,
    RepeatedReadings,
    SensorData,
)
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.readings.findings import collect_reading_findings
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_core.topology import list_sensor_voltages

LOOK_BACK = timedelta(days=62)
"""Two months: what a billing period and its correction span."""


def choose_findings_window(lake: Lake) -> Window | None:
    """The last two months of consumption in the lake; None for an empty lake."""
    days = lake.days(MeterConsumption)
    return Window.of_days(max(days[0], days[-1] - LOOK_BACK), days[-1]) if days else None


@grid_asset(
    FINDINGS,
    table=ReadingFindings,
    deps=["sensor_data", "meter_readings", "meter_consumption", "grid_topology"],
    automation_condition=FOLLOW,
    kinds={"polars", "postgres"},
)
def reading_findings(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """One row per fault in the readings of the last two months, with its span and its evidence.

    Faults are gaps, resets, stuck values, voltage sags, late, corrected and repeated readings.
    """
    window = choose_findings_window(lake)
    findings = collect_reading_findings(
        consumption=lake.scan(MeterConsumption, window=window),
        sensor_data=lake.scan(SensorData, window=window),
        readings=lake.scan(MeterReadings, window=window),
        repeats=warehouse.read(RepeatedReadings),
        revisions=warehouse.read(ReadingRevisions, window=window),
        nominal_voltages=list_sensor_voltages(lake.scan(GridTopology)),
        sensor_interval_minutes=settings.sensor_interval_minutes,
    )
    rows = warehouse.replace(ReadingFindings, ReadingFindings.validate(findings, cast=True))
    return dg.MaterializeResult(metadata={"dagster/row_count": rows.count, **rows.count_by("kind")})
