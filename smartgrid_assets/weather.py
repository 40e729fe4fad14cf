"""The job that asks the weather archive; the days that it changes are re-opened like late ones."""

import dagster as dg
from pydantic import Field

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.features.weather import add_known_at
from smartgrid_core.protocols import Clock, Warehouse, WeatherSource
from smartgrid_core.settings import Settings
from smartgrid_core.time import DAY, Window, midnight


class DaysToFetch(dg.Config):
    """How far back a run asks."""

    days: int = Field(default=8, ge=1, le=3660)
    """Archives mend the latest days for about a week."""


@dg.op(name="fetch_recent_weather", out=dg.Out(dg.Nothing))
def fetch(
    context: dg.OpExecutionContext,
    config: DaysToFetch,
    weather_source: dg.ResourceParam[WeatherSource],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> None:
    """Bring the weather of the last days into the warehouse, today's included."""
    now = clock.now()
    tomorrow = midnight(now.date()) + DAY
    rows = weather_source.fetch(Window(tomorrow - config.days * DAY, tomorrow))
    if not rows.is_empty():
        warehouse.upsert(Weather, add_known_at(rows, now=now))
    context.add_output_metadata({"rows": rows.height})


@dg.job(
    name="fetch_weather",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "1800", "smartgrid/writes": "fetched_weather"},
    description="Ask the weather archive about the last days, if one is set.",
)
def fetch_weather() -> None:
    """One question."""
    fetch()


@dg.schedule(
    job=fetch_weather,
    cron_schedule="40 4 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def fetch_weather_daily(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.RunRequest | dg.SkipReason:
    """Every day at 04:40, if a weather archive is set."""
    if settings.open_meteo_url is None:
        return dg.SkipReason("no weather archive is set: SMARTGRID_OPEN_METEO_URL")
    return dg.RunRequest(run_key=f"weather:{context.scheduled_execution_time:%Y-%m-%d}")
