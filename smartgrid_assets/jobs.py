"""Jobs: which assets are computed together, and under which name people start them."""

from typing import Any

import dagster as dg

from smartgrid_assets.domains import INSIGHTS, Cadence

IN_ONE_PROCESS = dg.in_process_executor
"""The daily steps take seconds: a process each would cost more than the work."""

SIX_HOURS = str(6 * 3600)


def _select_cadence(cadence: Cadence) -> dg.AssetSelection:
    return dg.AssetSelection.tag("cadence", cadence.value)


OF_CLOSED_DAYS = _select_cadence(Cadence.CLOSED_DAYS)
"""What judges days once they are over."""


def _define_job(
    name: str, selection: str | dg.AssetSelection, *, writes: str, description: str
) -> Any:
    """Return a job over an asset, or a selection of them.

    Two runs that write the same things wait for each other. A run that is still going after six
    hours hangs: run monitoring ends it.

    Args:
        name: The job's name, by which people start it.
        selection: An asset's name, or which assets are computed together.
        writes: What it writes; the tag by which runs wait for each other.
        description: A sentence on what the job does.

    Returns:
        The job, to be resolved with the graph.
    """
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(selection) if isinstance(selection, str) else selection,
        executor_def=IN_ONE_PROCESS,
        tags={"dagster/max_runtime": SIX_HOURS, "smartgrid/writes": writes},
        description=description,
    )


refresh_days = _define_job(
    "refresh_days",
    _select_cadence(Cadence.HOURLY),
    writes="days",
    description="Bring days of readings to hourly truth: the open day, late days, or any range.",
)

sum_local_days = _define_job(
    "sum_local_days",
    "daily_consumption",
    writes="local_days",
    description="Sum the energy of every meter over local days, which reach over midnight UTC.",
)

judge_readings = _define_job(
    "judge_readings",
    "reading_findings",
    writes="findings",
    description="Gather what is wrong with the readings of the last two months.",
)

read_topology = _define_job(
    "read_topology",
    "grid_topology",
    writes="topology",
    description="Take over the distribution tree as it was last landed.",
)

build_features = _define_job(
    "build_features",
    "load_features",
    writes="features",
    description="Build the day-ahead features of a day or a range of days.",
)

train_models = _define_job(
    "train_models",
    _select_cadence(Cadence.WEEKLY),
    writes="models",
    description="Backtest every model, train the best, publish it if the gate lets it through.",
)

forecast_day = _define_job(
    "forecast_day",
    dg.AssetSelection.assets("load_features", "load_forecast", "limit_exceedances"),
    writes="features",
    description="Forecast a day through the served model and compare it with the ratings.",
)

compare_variants = _define_job(
    "compare_variants",
    "variant_comparison",
    writes="comparisons",
    description="Compare stable and canary on the days whose load has become known.",
)

watch_drift = _define_job(
    "watch_drift",
    "model_drift",
    writes="drift",
    description="Measure how far features and forecast errors moved since the champion's training.",
)

raise_alerts = _define_job(
    "raise_alerts",
    "alerts",
    writes="alerts",
    description="Record the alerts that a day's limit exceedances call for.",
)

mine_days = _define_job(
    "mine_days",
    OF_CLOSED_DAYS,
    writes="mined_days",
    description="Judge days that are over: their events, their anomalies, their energy balances.",
)

mine_grid = _define_job(
    "mine_grid",
    dg.AssetSelection.groups(INSIGHTS.group) - OF_CLOSED_DAYS,
    writes="mining",
    description="Segments, rules and inspections of the last weeks, and the page of insights.",
)

JOBS = [
    refresh_days,
    sum_local_days,
    judge_readings,
    read_topology,
    build_features,
    train_models,
    forecast_day,
    compare_variants,
    watch_drift,
    raise_alerts,
    mine_days,
    mine_grid,
]
