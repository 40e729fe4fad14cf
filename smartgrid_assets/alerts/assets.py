"""Assets that say which limits may be crossed, and the alerts that follow from them."""

import dagster as dg

from smartgrid_assets.domains import ALERTS, Cadence, daily_asset
from smartgrid_assets.partitions import get_run_window
from smartgrid_core.alerts.decide import decide_limit_alerts
from smartgrid_core.alerts.exceedance import find_limit_exceedances
from smartgrid_core.alerts.record_names import READ_EVENTS
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
    """One row per feeder and hour whose forecast mean power may exceed its rating: how probably.

    A partition is the UTC day that is forecast.
    """
    window = get_run_window(context)
    exceedances = find_limit_exceedances(
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
    cadence=Cadence.ON_OCCASION,
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
    """One row per alert; a run adds those that the exceedances of its UTC day call for.

    The same exceedance never opens a second alert. Each new alert has its message in the outbox.
    Which computation of the exceedances was read is noted before their rows are: the sensor
    `new_exceedances` asks again for what is computed meanwhile.
    """
    read_events = _find_exceedance_events(context)
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
            READ_EVENTS: dg.MetadataValue.json(read_events),
            "messages": dg.MetadataValue.md(
                "\n".join(f"- {message}" for message in called_for["message"]) or "none"
            ),
        }
    )


def _find_exceedance_events(context: dg.AssetExecutionContext) -> dict[str, int]:
    """Return by day of the run the event that computed its exceedances last, where there is one."""
    newest = context.instance.get_latest_storage_id_by_partition(
        dg.AssetKey("limit_exceedances"),
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        partitions=set(context.partition_keys),
    )
    return dict(newest)
