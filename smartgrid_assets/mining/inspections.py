"""Assets that look for theft and miscounting: energy balances, and the list of inspections."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from smartgrid_assets.domains import INSPECTIONS, Cadence, daily_asset, grid_asset
from smartgrid_assets.partitions import find_last_whole_day, follow_closed_days, get_run_window
from smartgrid_core.aggregates.feeder import FEED_IN_KINDS
from smartgrid_core.contracts.aggregates import MeterConsumption, SensorAggregates
from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.inspections import EnergyBalance, HeadEnergy, Inspections
from smartgrid_core.contracts.readings import ReadingFindings
from smartgrid_core.model_protocols import ModelRegistry
from smartgrid_core.protocols import Clock, Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window, local_day_window
from smartgrid_core.topology import place_meters
from smartgrid_ml.mining.plots import embed_figure
from smartgrid_ml.mining.theft.attacks import ATTACKS
from smartgrid_ml.mining.theft.day_comparison import build_day_context
from smartgrid_ml.mining.theft.energy_balance import (
    add_technical_losses,
    compute_energy_balance,
    compute_head_energy,
    select_watched_nodes,
)
from smartgrid_ml.mining.theft.inspect_grid import (
    LOOK_BACK_DAYS,
    GridInspection,
    ReadMeters,
    find_judged_span,
    inspect_grid,
)
from smartgrid_ml.mining.theft.inspection_list import rank_inspections
from smartgrid_ml.mining.theft.meter_days import MeterDays, build_meter_days, choose_slot_count
from smartgrid_ml.mining.theft.report import (
    plot_balance,
    render_attack_kinds,
    render_inspections,
)
from smartgrid_ml.mining.theft.suspects import compute_daily_gap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPERIMENT = "theft_score"
TOO_LITTLE = "too few meters with a past to learn from; the list holds faults and balances only"


def choose_look_back_window(last: date) -> Window:
    """The UTC days that a list looks at, the judged weeks at their end."""
    return Window.of_days(last - timedelta(days=LOOK_BACK_DAYS - 1), last)


def choose_judged_window(last: date, *, settings: Settings) -> Window:
    """The instants that a list judges which looks back from a day."""
    first, last = find_judged_span(list(choose_look_back_window(last).days()))
    return Window(
        local_day_window(first, timezone=settings.zone).start,
        local_day_window(last, timezone=settings.zone).end,
    )


@daily_asset(
    INSPECTIONS,
    table=HeadEnergy,
    cadence=Cadence.CLOSED_DAYS,
    deps=["sensor_aggregates", "meter_consumption", "grid_topology"],
    automation_condition=follow_closed_days("sensor_aggregates", "meter_consumption"),
    kinds={"polars", "parquet"},
)
def head_energy(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.MaterializeResult[None]:
    """One row per node with a power sensor and hour: energy at the sensor and at the meters, kWh.

    The meters are all those below the node. A partition is one UTC day.
    """
    window, topology = get_run_window(context), lake.scan(GridTopology)
    hours = compute_head_energy(
        lake.scan(SensorAggregates, window=window),
        lake.scan(MeterConsumption, window=window),
        nodes=select_watched_nodes(topology),
        places=place_meters(topology),
    )
    rows = lake.replace(HeadEnergy, hours, window=window)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows.count, "nodes": rows.count_distinct("node_id")}
    )


@grid_asset(INSPECTIONS, table=EnergyBalance, deps=["head_energy"], kinds={"polars", "postgres"})
def energy_balance(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """One row per node and UTC day: energy in kWh that entered and that no meter counted.

    Technical losses are subtracted; they are fitted on the calm days of the last twelve weeks. The
    band says how large the rest usually is. Rows of older days stay as they are.
    """
    last = find_last_whole_day(lake, HeadEnergy, clock=clock)
    if last is None:
        return dg.MaterializeResult(metadata={"outcome": "no whole day has a balance yet"})
    window = choose_look_back_window(last)
    days = compute_energy_balance(
        add_technical_losses(lake.scan(HeadEnergy, window=window).collect())
    )
    rows = warehouse.replace(EnergyBalance, days, window=window)
    beyond = days.filter("is_beyond")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "nodes": rows.count_distinct("node_id"),
            "days_beyond_their_band": beyond.height,
            "unexplained_kwh": float(beyond["unexplained_kwh"].sum()),
        }
    )


@grid_asset(
    INSPECTIONS,
    table=Inspections,
    deps=["energy_balance", "head_energy", "meter_consumption", "reading_findings", "weather"],
    kinds={"lightgbm", "postgres", "mlflow"},
)
def inspections(
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
    model_registry: dg.ResourceParam[ModelRegistry],
) -> dg.MaterializeResult[None]:
    """One row per meter or node worth an inspection, ranked, with reasons from the last four weeks.

    The theft score is learned anew in every run from simulated thefts in this grid's own history. A
    meter is never judged by a model that learned from its readings.
    """
    last = find_last_whole_day(lake, MeterConsumption, clock=clock)
    if last is None:
        return dg.MaterializeResult(metadata={"outcome": "no whole day has energy yet"})
    window = choose_look_back_window(last)
    places = place_meters(lake.scan(GridTopology))
    hours = add_technical_losses(lake.scan(HeadEnergy, window=window).collect())
    read = _make_meter_reader(lake, window=window, settings=settings)
    inspected = _inspect_meters(
        lake, read, window=window, places=places, hours=hours, settings=settings
    )
    first_judged, last_judged = find_judged_span(list(window.days()))
    listed = rank_inspections(
        inspected.suspects if inspected else None,
        balance=compute_energy_balance(hours.filter(pl.col("day") >= first_judged)),
        hours=hours,
        findings=warehouse.read(ReadingFindings),
        places=places,
        judged=choose_judged_window(last, settings=settings),
    )
    rows = warehouse.replace(Inspections, listed)
    metadata: dict[str, Any] = {
        "dagster/row_count": rows.count,
        "judged": f"{first_judged} .. {last_judged}",
        "list": dg.MetadataValue.md(render_inspections(listed)),
    }
    if inspected is None:
        return dg.MaterializeResult(metadata={"outcome": TOO_LITTLE, **metadata})
    figures = {}
    suspects = listed.filter(pl.col("suspicion") == "theft", pl.col("node_id").is_not_null())
    for meter_id, node_id in suspects.head(1).select("subject_id", "node_id").iter_rows():
        gap = compute_daily_gap(read([meter_id]), model=inspected.model)
        figure = plot_balance(
            compute_energy_balance(hours), node_id=node_id, gap=gap, meter_id=meter_id
        )
        figures["balance"] = figure
        metadata["plot"] = dg.MetadataValue.md(embed_figure(figure, about=f"balance of {node_id}"))
    run_id = _log_inspection(
        model_registry, inspected, listed=listed, figures=figures, window=window
    )
    return dg.MaterializeResult(
        metadata={
            **metadata,
            **rows.count_by("suspicion"),
            **inspected.figures,
            "by_kind": dg.MetadataValue.md(render_attack_kinds(inspected.by_kind)),
            "mlflow_run": run_id,
        }
    )


def _make_meter_reader(lake: Lake, *, window: Window, settings: Settings) -> ReadMeters:
    """What to call with meter_ids for their days of the window."""
    days = list(window.days())
    n_slots = choose_slot_count(lake.scan(MeterConsumption, window=window))

    def read(meter_ids: Sequence[str]) -> MeterDays:
        of_meters = pl.col("meter_id").is_in(list(meter_ids))
        return build_meter_days(
            lake.scan(MeterConsumption, window=window).filter(of_meters),
            first=days[0],
            last=days[-1],
            timezone=settings.zone,
            n_slots=n_slots,
        )

    return read


def _inspect_meters(
    lake: Lake,
    read: ReadMeters,
    *,
    window: Window,
    places: pl.DataFrame,
    hours: pl.DataFrame,
    settings: Settings,
) -> GridInspection | None:
    """What the days of all meters that draw energy say; None for too few with a past.

    Args:
        lake: Has the weather.
        read: Reads the days of meters.
        window: The UTC days that are looked at, the judged weeks at their end.
        places: Rows of `MeterPlaces`.
        hours: The balances by hour.
        settings: Country and time zone.
    """
    feeds_in = pl.col("customer_kind").is_in(FEED_IN_KINDS)
    return inspect_grid(
        read,
        meter_ids=places.filter(~feeds_in.fill_null(False))["meter_id"].to_list(),
        places=places,
        hours=hours,
        context=build_day_context(
            list(window.days()),
            country=settings.country,
            temperature_c=_read_temperatures(lake, window=window, settings=settings),
        ),
        timezone=settings.zone,
    )


def _log_inspection(
    registry: ModelRegistry,
    inspected: GridInspection,
    *,
    listed: pl.DataFrame,
    figures: Mapping[str, "Figure"],
    window: Window,
) -> str:
    """Write down what was learned; the id of its MLflow run.

    Args:
        registry: Keeps it.
        inspected: What the days of the meters say.
        listed: Rows of `Inspections`.
        figures: Pictures of it, by name.
        window: The UTC days that were looked at.
    """
    run_id = registry.log_training(
        EXPERIMENT,
        params={
            "meters": inspected.suspects.height,
            "learned_from": len(inspected.model.fold_of),
            "attacks": ", ".join(ATTACKS),
        },
        metrics=inspected.figures,
        data_window=window,
        figures=figures,
        tables={"inspections": listed, "by_kind": inspected.by_kind},
        run_name=f"{list(window.days())[-1]}",
    )
    registry.finish(run_id, "FINISHED")
    return run_id


def _read_temperatures(lake: Lake, *, window: Window, settings: Settings) -> np.ndarray | None:
    """The mean temperature of every local day of the window, NaN where unknown; None for none."""
    days = list(window.days())
    local = pl.col("hour_start").dt.convert_time_zone(settings.timezone).dt.date()
    daily = (
        lake.scan(Weather, window=window)
        .group_by(day=(local - pl.lit(days[0])).dt.total_days())
        .agg(pl.col("temperature_c").mean())
        .filter(pl.col("day").is_between(0, len(days) - 1))
        .collect()
    )
    if daily.is_empty():
        return None
    temperatures = np.full(len(days), np.nan)
    temperatures[daily["day"].to_numpy()] = daily["temperature_c"].to_numpy()
    return temperatures
