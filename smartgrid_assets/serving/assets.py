"""Assets made by asking the served model: the day-ahead load forecast."""

import dagster as dg

from smartgrid_assets.partitions import daily_asset, window_of
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadBacktest, LoadForecasts
from smartgrid_core.contracts.serving import PredictionLog, TrafficSplits
from smartgrid_core.errors import SmartGridError
from smartgrid_core.features.load import HISTORY_NEEDED
from smartgrid_core.ports import Clock, Lake, ModelServer, ModelShelf, Warehouse
from smartgrid_core.serving import Served
from smartgrid_io.serving.router import Router, split_of
from smartgrid_ml.forecasting.day_ahead import MODEL, best_naive, day_ahead


@daily_asset(
    deps=["load_features", "load_backtest", "served_model"],
    group_name="serving",
    kinds={"tensorflow", "postgres"},
)
def load_forecast(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    warehouse: dg.ResourceParam[Warehouse],
    model_server: dg.ResourceParam[ModelServer],
    model_shelf: dg.ResourceParam[ModelShelf],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult:
    """P10, P50 and P90 of every feeder for each hour of the day, kW, issued at its midnight UTC.

    Feeders are split between stable and canary. Where neither answers, the best naive row of the
    backtest stands in under its own name.
    """
    window = window_of(context)
    router = Router(
        model_server,
        served=served_now(model_shelf),
        split=split_of(warehouse.read(TrafficSplits), MODEL),
        now=clock.now(),
    )
    forecast, log = day_ahead(
        lake.scan(LoadFeatures, window=window).collect(),
        ask=router.ask,
        history=lake.scan(LoadFeatures, window=window.widened(before=HISTORY_NEEDED)),
        stand_in=best_naive(warehouse.read(LoadBacktest)),
        now=clock.now(),
    )
    rows = warehouse.replace(LoadForecasts, forecast, window=window)
    warehouse.upsert(PredictionLog, log)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "peak_kw": rows.max("p50"),
            **{f"rows/{model}": n for model, n in rows.tally("model").items()},
            **{f"rows/{each}": n for each, n in rows.tally("variant").items() if each},
        }
    )


def served_now(shelf: ModelShelf) -> Served:
    """What is served; where the config cannot be read, stable is asked for everything."""
    try:
        return shelf.served(MODEL)
    except (SmartGridError, OSError) as error:
        dg.get_dagster_logger().warning("no canary is asked: %s", error)
        return Served(MODEL)
