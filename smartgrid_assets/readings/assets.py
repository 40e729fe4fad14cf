"""Assets that bring the landed readings, the grid and its weather into the lake."""

import dagster as dg

from smartgrid_assets.domains import READINGS, Cadence, daily_asset, grid_asset
from smartgrid_assets.partitions import get_run_window
from smartgrid_assets.storing import copy_to_lake
from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import MeterReadings, RegisterBrackets, SensorData
from smartgrid_core.protocols import Lake, Warehouse


@daily_asset(READINGS, table=SensorData, kinds={"postgres", "parquet"})
def sensor_data(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult[None]:
    """One row per sensor, quantity and instant: its reading as landed, in V, A, kW or Hz.

    A partition is one UTC day.
    """
    window = get_run_window(context)
    rows = copy_to_lake(SensorData, warehouse=warehouse, lake=lake, window=window)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows.count, "sensors": rows.count_distinct("sensor_id")}
    )


@daily_asset(READINGS, table=MeterReadings, kinds={"postgres", "parquet"})
def meter_readings(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult[None]:
    """One row per meter, kind of reading and instant: its reading as landed, in kWh.

    A partition is one UTC day.
    """
    window = get_run_window(context)
    rows = copy_to_lake(MeterReadings, warehouse=warehouse, lake=lake, window=window)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows.count, "meters": rows.count_distinct("meter_id")}
    )


@daily_asset(
    READINGS,
    table=RegisterBrackets,
    deps=["meter_readings"],
    kinds={"postgres", "parquet"},
)
def register_brackets(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult[None]:
    """One row per day, meter and instant: the register readings just before and after the day, kWh.

    With them a day's energy is computed from its own partition alone, across any gap. A partition
    is one UTC day.
    """
    window = get_run_window(context)
    brackets = warehouse.read_register_brackets(list(window.days()))
    rows = lake.replace(RegisterBrackets, brackets, window=window)
    return dg.MaterializeResult(metadata={"dagster/row_count": rows.count})


@grid_asset(READINGS, table=GridTopology, cadence=Cadence.DAILY, kinds={"postgres", "parquet"})
def grid_topology(
    warehouse: dg.ResourceParam[Warehouse], lake: dg.ResourceParam[Lake]
) -> dg.MaterializeResult[None]:
    """One row per node of the tree substation > feeder > transformer > meter, with coordinates.

    The table is kept whole and holds the tree as it was last landed.
    """
    rows = lake.replace(GridTopology, warehouse.read(GridTopology))
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows.count, **rows.count_by("node_kind")}
    )


@daily_asset(READINGS, table=Weather, kinds={"postgres", "parquet"})
def weather(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    lake: dg.ResourceParam[Lake],
) -> dg.MaterializeResult[None]:
    """One row per weather station and hour, landed from files or fetched from the archive.

    A partition is one UTC day; it is empty where no weather is known.
    """
    window = get_run_window(context)
    rows = copy_to_lake(Weather, warehouse=warehouse, lake=lake, window=window)
    return dg.MaterializeResult(metadata={"dagster/row_count": rows.count})
