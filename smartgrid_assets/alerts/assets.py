"""Assets that say which limits may be crossed, and the alerts that follow from them."""

import dagster as dg

from smartgrid_assets.domains import ALERTS, daily_asset
from smartgrid_assets.partitions import get_run_window
from smartgrid_core.alerts.decide import decide_limit_alerts
from smartgrid_core.alerts.exceedance import find_limit_exceedances as exceedances_of
from smartgrid_core.contracts.alerts import Alerts, LimitExceedances
from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.protocols import AlertStore, Clock, Lake, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.topology import list_feeder_ratings


@daily_asset(
    ALERTS,
    table=LimitExceedances,
    deps=["load_forecast", "grid_topology"],
    kinds={"polars", "postgres"},
)
def limit_exceedances(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult[None]:
    """Probability that a feeder's mean power crosses its rating, by hour of the forecast day."""
    window = get_run_window(context)
    exceedances = exceedances_of(
        warehouse.read(LoadForecasts, window=window),
        ratings=list_feeder_ratings(lake.scan(GridTopology)),
    )
    rows = warehouse.replace(LimitExceedances, exceedances, window=window)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "largest_probability": rows.max("probability") or 0.0,
        }
    )


@daily_asset(
    ALERTS,
    table=Alerts,
    deps=["limit_exceedances"],
    kinds={"postgres"},
)
def alerts(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    alert_store: dg.ResourceParam[AlertStore],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Alerts that the day's limit exceedances call for, each recorded once with its message."""
    called_for = decide_limit_alerts(
        warehouse.read(LimitExceedances, window=get_run_window(context)),
        now=clock.now(),
        timezone=settings.zone,
        open_alerts=alert_store.read_open_alerts(),
    )
    new = alert_store.record(called_for)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": new,
            "messages": dg.MetadataValue.md(
                "\n".join(f"- {message}" for message in called_for["message"]) or "none"
            ),
        }
    )
