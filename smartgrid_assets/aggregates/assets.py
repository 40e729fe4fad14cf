"""Assets of hourly and daily truth: sensor statistics, interval energy, feeder load."""

import dagster as dg
import polars as pl

from smartgrid_assets.domains import AGGREGATES, Cadence, daily_asset
from smartgrid_assets.partitions import FOLLOW, get_run_window
from smartgrid_assets.storing import replace_in_both
from smartgrid_core.aggregates.daily import sum_daily_consumption
from smartgrid_core.aggregates.feeder import sum_meters_per_feeder
from smartgrid_core.aggregates.hourly import aggregate_sensor_hours
from smartgrid_core.contracts.aggregates import (
    DailyConsumption,
    FeederLoad,
    MeterConsumption,
    SensorAggregates,
)
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.readings import MeterReadings, RegisterBrackets, SensorData
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.readings.vee import CLOCK_DRIFT, compute_interval_energy
from smartgrid_core.settings import Settings
from smartgrid_core.time import WIDEST_OFFSET, Window
from smartgrid_core.topology import place_meters


@daily_asset(
    AGGREGATES,
    table=SensorAggregates,
    deps=["sensor_data"],
    kinds={"polars", "parquet", "postgres"},
)
def sensor_aggregates(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """One row per sensor, quantity and hour: mean, least, largest, deviation and count of readings.

    A partition is one UTC day.
    """
    window = get_run_window(context)
    hours = aggregate_sensor_hours(
        lake.scan(SensorData, window=window),
        sensor_interval_minutes=settings.sensor_interval_minutes,
    )
    rows = replace_in_both(SensorAggregates, hours, lake=lake, warehouse=warehouse, window=window)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "readings": rows.sum("count"),
            "expected_readings": rows.sum("expected_count"),
        }
    )


@daily_asset(
    AGGREGATES,
    table=MeterConsumption,
    deps=["meter_readings", "register_brackets"],
    kinds={"polars", "parquet"},
)
def meter_consumption(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """One row per meter and interval: energy in kWh, validated, and estimated where it is missing.

    A partition is one UTC day.
    The reading that ends a day's last interval stands on the next day, which the lake may not have
    yet: it comes from the warehouse.
    """
    window = get_run_window(context)
    last = warehouse.read(MeterReadings, window=Window(window.end, window.end + CLOCK_DRIFT))
    energy = compute_interval_energy(
        pl.concat([lake.scan(MeterReadings, window=window), last.lazy()]),
        lake.scan(RegisterBrackets, window=window),
        window=window,
        interval_minutes=settings.meter_interval_minutes,
        register_capacity_kwh=settings.register_capacity_kwh,
    )
    rows = lake.replace(MeterConsumption, energy, window=window)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "energy_kwh": rows.sum("energy_kwh"),
            "estimated_intervals": rows.sum("is_estimated"),
            **{f"intervals/{quality}": n for quality, n in rows.count_by("quality").items()},
        }
    )


@daily_asset(
    AGGREGATES,
    table=DailyConsumption,
    cadence=Cadence.FOLLOWING,
    deps=[
        dg.AssetDep(
            "meter_consumption",
            partition_mapping=dg.TimeWindowPartitionMapping(
                start_offset=-1, end_offset=1, allow_nonexistent_upstream_partitions=True
            ),
        )
    ],
    automation_condition=FOLLOW,
    kinds={"polars", "parquet", "postgres"},
)
def daily_consumption(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult[None]:
    """One row per meter and local calendar day: energy in kWh. A partition is one local day.

    A local day has 23, 24 or 25 hours, taken from the UTC day of the same date and those beside it.
    """
    window = get_run_window(context)
    energy = lake.scan(
        MeterConsumption, window=window.widened(before=WIDEST_OFFSET, after=WIDEST_OFFSET)
    )
    days = sum_daily_consumption(energy, timezone=settings.zone, days=list(window.days()))
    rows = replace_in_both(DailyConsumption, days, lake=lake, warehouse=warehouse, window=window)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "energy_kwh": rows.sum("energy_kwh"),
            "estimated_kwh": rows.sum("estimated_kwh"),
        }
    )


@daily_asset(
    AGGREGATES,
    table=FeederLoad,
    deps=["meter_consumption", "grid_topology"],
    kinds={"polars", "parquet", "postgres"},
)
def feeder_load(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """One row per feeder and hour, and one for the whole grid: net mean power in kW.

    Consumption is positive, feed-in negative. A partition is one UTC day.
    """
    window = get_run_window(context)
    load = sum_meters_per_feeder(
        lake.scan(MeterConsumption, window=window),
        places=place_meters(lake.scan(GridTopology)).lazy(),
    )
    rows = replace_in_both(FeederLoad, load, lake=lake, warehouse=warehouse, window=window)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows.count, "peak_kw": rows.max("load_kw")}
    )
