"""Assets made by asking the served model: the day-ahead load forecast."""

import dagster as dg

from smartgrid_assets.partitions import daily_asset, window_of
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadBacktest, LoadForecasts
from smartgrid_core.features.load import HISTORY_NEEDED
from smartgrid_core.ports import Clock, Lake, ModelServer, Warehouse
from smartgrid_ml.forecasting.day_ahead import best_naive, day_ahead


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
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult:
    """P10, P50 and P90 of every feeder for each hour of the day, kW, issued at its midnight UTC.

    Where no model answers, the best naive row of the backtest stands in under its own name.
    """
    window = window_of(context)
    forecast = day_ahead(
        lake.scan(LoadFeatures, window=window).collect(),
        server=model_server,
        history=lake.scan(LoadFeatures, window=window.widened(before=HISTORY_NEEDED)),
        stand_in=best_naive(warehouse.read(LoadBacktest)),
        now=clock.now(),
    )
    rows = warehouse.replace(LoadForecasts, forecast, window=window)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.count,
            "peak_kw": rows.max("p50"),
            **{f"rows/{model}": n for model, n in rows.tally("model").items()},
        }
    )
