"""Jobs: which assets are computed together, and under which name people start them."""

import dagster as dg

RUN_LIMITS = {"dagster/max_runtime": str(6 * 3600)}
"""A run that is still going after six hours hangs; run monitoring ends it."""

IN_ONE_PROCESS = dg.in_process_executor
"""The daily steps take seconds: a process each would cost more than the work."""

refresh_days = dg.define_asset_job(
    "refresh_days",
    selection=dg.AssetSelection.groups("readings", "aggregates")
    - dg.AssetSelection.assets("grid_topology"),
    executor_def=IN_ONE_PROCESS,
    tags=RUN_LIMITS,
    description="Bring days of readings to hourly truth: the open day, late days, or any range.",
)

read_topology = dg.define_asset_job(
    "read_topology",
    selection=dg.AssetSelection.assets("grid_topology"),
    executor_def=IN_ONE_PROCESS,
    tags=RUN_LIMITS,
    description="Take over the distribution tree as it was last landed.",
)

build_features = dg.define_asset_job(
    "build_features",
    selection=dg.AssetSelection.groups("features"),
    executor_def=IN_ONE_PROCESS,
    tags=RUN_LIMITS,
    description="Build the day-ahead features of a day or a range of days.",
)

train_models = dg.define_asset_job(
    "train_models",
    selection=dg.AssetSelection.groups("models"),
    executor_def=IN_ONE_PROCESS,
    tags=RUN_LIMITS,
    description="Backtest every model, train the best, publish it to the model server.",
)

forecast_day = dg.define_asset_job(
    "forecast_day",
    selection=dg.AssetSelection.assets("load_features", "load_forecast", "limit_exceedances"),
    executor_def=IN_ONE_PROCESS,
    tags=RUN_LIMITS,
    description="Forecast a day through the served model and weigh it against the ratings.",
)

raise_alerts = dg.define_asset_job(
    "raise_alerts",
    selection=dg.AssetSelection.assets("alerts"),
    executor_def=IN_ONE_PROCESS,
    tags=RUN_LIMITS,
    description="Record the alerts that a day's limit exceedances call for.",
)

JOBS = [refresh_days, read_topology, build_features, train_models, forecast_day, raise_alerts]
