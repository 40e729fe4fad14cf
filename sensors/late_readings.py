"""Days whose readings a landing changed: exactly those are computed again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import polars as pl

from sensors.polling import is_at_work, read_cursor, write_cursor
from smartgrid_core.ports import Clock, Warehouse
from smartgrid_core.settings import Settings

JOB = "refresh_days"

MOST_ENTRIES = 5_000
"""Journal entries of one tick: a year of days of every dataset, read in milliseconds."""


@dataclass(frozen=True, slots=True)
class Reopening:
    """UTC days `first` to `last`, both included, that one run shall compute."""

    first: date
    last: date
    run_key: str

    def request(self) -> dg.RunRequest:
        """One partition, or a range of them in one run."""
        if self.first == self.last:
            return dg.RunRequest(run_key=self.run_key, partition_key=self.first.isoformat())
        return dg.RunRequest(
            run_key=self.run_key,
            tags={
                "dagster/asset_partition_range_start": self.first.isoformat(),
                "dagster/asset_partition_range_end": self.last.isoformat(),
            },
        )


def decide(touched: pl.DataFrame, *, first_day: date, last_day: date) -> list[Reopening]:
    """The touched days (rows of `TouchedDays`) within the partitions, as ranges without holes.

    The run key names the newest journal entry: days that are touched again are computed again.
    """
    seq = touched["seq"].max()
    days = touched["day"].unique().sort().to_list()
    return [
        Reopening(first, last, run_key=f"late:{seq}:{first}:{last}")
        for first, last in _ranges([day for day in days if first_day <= day <= last_day])
    ]


LONGEST_RANGE = timedelta(days=92)
"""A run about a quarter of a year stays within a machine's memory, whatever was landed."""


def _ranges(days: list[date]) -> Iterator[tuple[date, date]]:
    """Runs of consecutive days, first and last, none longer than LONGEST_RANGE."""
    first = last = None
    for day in days:
        if first is None or last is None:
            first = day
        elif day - last > timedelta(days=1) or day - first >= LONGEST_RANGE:
            yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def late_readings(
    context: dg.SensorEvaluationContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """Re-open the days that landings touched; what a run at work may have missed waits for it."""
    if is_at_work(context.instance, JOB):
        return dg.SkipReason("days are being computed; what was touched since waits")
    before = read_cursor(context.cursor)
    touched = warehouse.touched_since(before.get("seq", 0), limit=MOST_ENTRIES)
    if touched.is_empty():
        return dg.SkipReason("no day was touched")
    first_day, last_day = settings.first_day, settings.last_day or clock.now().date()
    reopenings = decide(touched, first_day=first_day, last_day=last_day)
    outside = touched.filter(~pl.col("day").is_between(first_day, last_day))
    if not outside.is_empty():
        context.log.warning(
            "%d touched days from %s to %s lie outside the partitions %s .. %s: set"
            " SMARTGRID_FIRST_DAY (or SMARTGRID_LAST_DAY) and materialise refresh_days for them",
            *(outside["day"].n_unique(), outside["day"].min(), outside["day"].max()),
            *(first_day, last_day),
        )
    newest = int(touched["seq"].to_list()[-1])
    return dg.SensorResult(
        run_requests=[reopening.request() for reopening in reopenings],
        cursor=write_cursor({"seq": newest}),
    )
