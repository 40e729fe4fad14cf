"""The asset that turns hours of the grid into transactions of events."""

from datetime import timedelta

import dagster as dg

from smartgrid_assets.domains import EVENTS, Cadence, daily_asset
from smartgrid_assets.partitions import MINED_DAYS, follow_closed_days, get_run_window
from smartgrid_core.contracts.aggregates import FeederLoad, SensorAggregates
from smartgrid_core.contracts.alerts import Alerts, LimitExceedances
from smartgrid_core.contracts.events import GridEvents
from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import ReadingFindings
from smartgrid_core.features.events import LOAD_HISTORY, EventLimits, find_grid_events
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.settings import Settings

LONGEST_LEAD = timedelta(days=7)
"""No forecast is issued earlier about an hour."""


@daily_asset(
    EVENTS,
    table=GridEvents,
    cadence=Cadence.CLOSED_DAYS,
    deps=[
        "sensor_aggregates",
        dg.AssetDep(
            "feeder_load",
            partition_mapping=dg.TimeWindowPartitionMapping(
                start_offset=-LOAD_HISTORY.days, allow_nonexistent_upstream_partitions=True
            ),
        ),
        "weather",
        "grid_topology",
        "reading_findings",
        "limit_exceedances",
        "alerts",
    ],
    automation_condition=follow_closed_days("sensor_aggregates", "feeder_load"),
    pool=MINED_DAYS,
    kinds={"polars", "parquet"},
)
def grid_events(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """One row per feeder, hour and event in it, such as a peak, a voltage dip or an alert.

    Peaks and ramps are measured against the feeder's own four weeks before. A partition is one UTC
    day.
    """
    window = get_run_window(context)
    events = find_grid_events(
        window=window,
        topology=lake.scan(GridTopology),
        load=lake.scan(FeederLoad, window=window.widened(before=LOAD_HISTORY)),
        sensors=lake.scan(SensorAggregates, window=window),
        weather=lake.scan(Weather, window=window),
        exceedances=warehouse.read(LimitExceedances, window=window.widened(before=LONGEST_LEAD)),
        alerts=warehouse.read(Alerts),
        findings=warehouse.read(ReadingFindings),
        timezone=settings.zone,
        country=settings.country,
        limits=EventLimits(
            voltage_band=settings.voltage_band, least_meter_share=settings.min_meter_share
        ),
    )
    rows = lake.replace(GridEvents, events, window=window)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "feeders": rows.count_distinct("feeder_id"),
            **{f"hours/{item}": hours for item, hours in rows.count_by("item").items()},
        }
    )
