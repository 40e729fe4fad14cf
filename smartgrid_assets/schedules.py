"""Schedules: what happens by the clock, in UTC."""

from collections.abc import Sequence
from datetime import UTC, datetime

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
from smartgrid_core.features.load import HISTORY_NEEDED
from smartgrid_core.settings import Settings
from smartgrid_core.time import HOUR, Window, midnight

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


FEATURES, LOAD = dg.AssetKey("load_features"), dg.AssetKey("feeder_load")
FEATURE_INPUTS = (LOAD, dg.AssetKey("weather"))
FORECAST = [dg.AssetKey("load_forecast"), dg.AssetKey("limit_exceedances")]
"""What `forecast_today` asks for where the day's features are current: they follow the load."""


@dg.schedule(job=forecast_day, cron_schedule="30 0 * * *", default_status=RUNNING)
def forecast_today(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Every day at 00:30: the forecast of the day that has begun, from load up to midnight.

    The features follow the refresh at 00:10 by themselves. Where they did not, because the daemon
    was away, the refresh failed or readings came late, the run computes them from what is there.
    """
    moment = context.scheduled_execution_time
    key = _find_partition_at(moment)
    if key is None:
        return CLOSED
    today = moment.date()
    look_back = Window.of_days(today - HISTORY_NEEDED, today)
    keys = [day.isoformat() for day in look_back.days()]
    inputs = (_find_newest_event(context.instance, each, keys) for each in FEATURE_INPUTS)
    is_current = are_features_current(
        _find_start(context.instance, _find_newest_event(context.instance, FEATURES, [key])),
        load_at=_find_start(
            context.instance, _find_newest_event(context.instance, LOAD, keys[-2:-1])
        ),
        inputs_at=[_read_time(each) for each in inputs],
        day_start=midnight(today),
    )
    return dg.RunRequest(
        run_key=f"forecast:{key}",
        partition_key=key,
        asset_selection=FORECAST if is_current else [FEATURES, *FORECAST],
    )


def are_features_current(
    began_at: datetime | None,
    *,
    load_at: datetime | None,
    inputs_at: Sequence[datetime | None],
    day_start: datetime,
) -> bool:
    """Tell whether the features of a day hold all that is known when it begins.

    Args:
        began_at: When the run that computed them last began, UTC; None if none did. It may have
            read its inputs at once, so what came while it ran is not in them.
        load_at: When the run that last computed the load of the day before began; None if none did.
        inputs_at: When each input was, over all days that features look back at, UTC.
        day_start: The midnight with which the day begins, UTC: load computed earlier misses hours.
    """
    if began_at is None or load_at is None or load_at < day_start:
        return False
    return all(at is None or at < began_at for at in inputs_at)


def _find_newest_event(
    instance: dg.DagsterInstance, asset: dg.AssetKey, keys: Sequence[str]
) -> dg.EventLogRecord | None:
    """Return an asset's newest materialization among these partitions; None if there is none."""
    events = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, asset_partitions=keys), limit=1
    )
    return next(iter(events.records), None)


def _read_time(event: dg.EventLogRecord | None) -> datetime | None:
    return None if event is None else datetime.fromtimestamp(event.timestamp, UTC)


def _find_start(instance: dg.DagsterInstance, event: dg.EventLogRecord | None) -> datetime | None:
    """Return when the run of an event began, UTC; the event's own time if no run wrote it."""
    run = None if event is None else instance.get_run_record_by_id(event.run_id)
    if run is None or run.start_time is None:
        return _read_time(event)
    return datetime.fromtimestamp(run.start_time, UTC)


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
    description="Every day at 05:20, with the night's late readings in: faults in the readings.",
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
    description="Every day at 05:50, with the night's late readings in: has anything drifted?",
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
