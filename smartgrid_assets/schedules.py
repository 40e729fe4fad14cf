"""Schedules: what happens by the clock, in UTC."""

from datetime import datetime

import dagster as dg

from smartgrid_assets.jobs import (
    compare_variants,
    forecast_day,
    judge_readings,
    mine_grid,
    read_topology,
    refresh_days,
    train_models,
    watch_drift,
)
from smartgrid_assets.partitions import DAY
from smartgrid_core.settings import Settings
from smartgrid_core.time import HOUR

RUNNING = dg.DefaultScheduleStatus.RUNNING


CLOSED = dg.SkipReason("the data set is closed: it has no such thing on the present day")


def _find_partition_at(moment: datetime) -> str | None:
    """Key of the UTC day in which the moment falls; None outside the partitions' span."""
    key = moment.strftime("%Y-%m-%d")
    return key if DAY.has_partition_key(key) else None


@dg.schedule(job=refresh_days, cron_schedule="10 * * * *", default_status=RUNNING)
def refresh_open_day(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.RunRequest | dg.SkipReason:
    """Every hour, at ten past: the day to which the hour that has just ended belongs."""
    hour = context.scheduled_execution_time - HOUR
    key = _find_partition_at(hour)
    is_behind = settings.readings_end is not None and hour.date() >= settings.readings_end
    if key is None or is_behind:
        return CLOSED
    return dg.RunRequest(
        run_key=f"refresh:{context.scheduled_execution_time.isoformat()}", partition_key=key
    )


FEATURES = dg.AssetKey("load_features")
FORECAST = [dg.AssetKey("load_forecast"), dg.AssetKey("limit_exceedances")]
"""What `forecast_today` asks for where the day's features are there: they follow the load."""


@dg.schedule(job=forecast_day, cron_schedule="30 0 * * *", default_status=RUNNING)
def forecast_today(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Every day at 00:30: the forecast of the day that has begun, from load up to midnight.

    The features follow the refresh at 00:10 by themselves. Only where they did not, because the
    daemon was away or the refresh failed, the run computes them from what is there.
    """
    key = _find_partition_at(context.scheduled_execution_time)
    if key is None:
        return CLOSED
    features = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=FEATURES, asset_partitions=[key]), limit=1
    )
    return dg.RunRequest(
        run_key=f"forecast:{key}",
        partition_key=key,
        asset_selection=FORECAST if features.records else [FEATURES, *FORECAST],
    )


train_weekly = dg.ScheduleDefinition(
    name="train_weekly",
    job=train_models,
    cron_schedule="0 3 * * 0",
    default_status=RUNNING,
    description="Every Sunday at 03:00: a fresh backtest and a model trained on all days so far.",
)

read_topology_daily = dg.ScheduleDefinition(
    name="read_topology_daily",
    job=read_topology,
    cron_schedule="5 0 * * *",
    default_status=RUNNING,
    description="Every day at 00:05: the grid as it was last landed, before the day is summed up.",
)

judge_daily = dg.ScheduleDefinition(
    name="judge_daily",
    job=judge_readings,
    cron_schedule="20 5 * * *",
    default_status=RUNNING,
    description="Every day at 05:20, with the night's late readings in: what is wrong with them.",
)

compare_daily = dg.ScheduleDefinition(
    name="compare_daily",
    job=compare_variants,
    cron_schedule="40 5 * * *",
    default_status=RUNNING,
    description="Every day at 05:40, with the night's late readings in: stable against canary.",
)

watch_drift_daily = dg.ScheduleDefinition(
    name="watch_drift_daily",
    job=watch_drift,
    cron_schedule="50 5 * * *",
    default_status=RUNNING,
    description="Every day at 05:50, with the night's late readings in: has the world moved?",
)

mine_daily = dg.ScheduleDefinition(
    name="mine_daily",
    job=mine_grid,
    cron_schedule="0 6 * * *",
    default_status=RUNNING,
    description="Every day at 06:00, with the night's late readings in: the page of insights.",
)

SCHEDULES = [
    judge_daily,
    read_topology_daily,
    refresh_open_day,
    forecast_today,
    train_weekly,
    compare_daily,
    watch_drift_daily,
    mine_daily,
]
