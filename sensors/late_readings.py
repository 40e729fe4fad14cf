"""Days whose readings a landing changed: exactly those are computed again, until it succeeds."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import dagster as dg
import polars as pl

from sensors.polling import is_at_work
from smartgrid_core.protocols import Clock, Warehouse
from smartgrid_core.settings import Settings
from smartgrid_core.time import DAY

JOB = "refresh_days"

RUN_KEY = "dagster/run_key"
"""The tag that a run and its retries bear, by which the sensor finds what became of a request."""

MINUTES_OF_DAY = 24 * 60

MOST_ENTRIES = 5_000
"""Journal entries of one tick: a year of days of every dataset, read in milliseconds."""

LONGEST_RANGE = timedelta(days=92)
"""A quarter of a year in one run, if the grid is small enough."""

MOST_READINGS = 1_500_000
"""Of one run, by the tree's meters and sensors: it takes 0.5 to 1.2 kB each, so 2 GB at most,
unless a day alone has more (`benchmarks/refresh_memory.py`)."""

FIRST_PAUSE = timedelta(minutes=5)
"""Dagster's own retries are over by then; what was away may be back."""

LONGEST_PAUSE = timedelta(hours=12)
"""A day that fails again and again costs two short runs a day until somebody mends it."""

PARTS = 4
"""A range that failed is asked for in so many: four tries find the bad day of a quarter of a year,
and the good ones beside it wait little more than an hour."""

MOST_NAMED = 5
"""Ranges that a sentence names."""


@dataclass(frozen=True, slots=True)
class Reopening:
    """UTC days `first` to `last`, both included, that one run shall compute.

    `seq` is the newest journal entry when they were first asked for; `again_at` is when they are
    asked for next, None while the outcome of this attempt is not known.
    """

    first: date
    last: date
    seq: int
    attempt: int = 1
    again_at: datetime | None = None

    @property
    def run_key(self) -> str:
        """Days that are touched again, and days that failed, are another request."""
        return f"late:{self.seq}:{self.first}:{self.last}#{self.attempt}"

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


@dataclass(frozen=True, slots=True)
class Decision:
    """What to request now, and what the next tick shall know: those and the ones that wait."""

    requests: list[Reopening]
    pending: list[Reopening]


def list_pending(
    pending: Sequence[Reopening], *, succeeded: Collection[str], now: datetime
) -> list[Reopening]:
    """What no run computed: `succeeded` are the run keys with a run that did; none is at work.

    What has just failed waits, each time twice as long as after the attempt before.
    """
    return [
        each
        if each.again_at is not None
        else replace(each, again_at=now + _compute_pause(each.attempt))
        for each in pending
        if each.run_key not in succeeded
    ]


def decide_reopenings(
    touched: pl.DataFrame,
    *,
    pending: Sequence[Reopening] = (),
    first_day: date,
    last_day: date,
    now: datetime,
    longest: timedelta = LONGEST_RANGE,
) -> Decision:
    """The touched days (rows of `TouchedDays`) within the partitions, and what failed and is due.

    Touched days are ranges without holes. A touched day that waits after a failure is not asked
    for beside that: new readings may have mended it, so it waits no longer than the first pause.

    Args:
        touched: Rows of `TouchedDays`, in the order of their `seq`.
        pending: What was asked for and has not succeeded.
        first_day: The first UTC day of the partitions.
        last_day: Their last UTC day, included.
        now: The present instant, UTC.
        longest: The longest range of one run.
    """
    days = {day for day in touched["day"] if first_day <= day <= last_day}
    again: list[Reopening] = []
    waiting: list[Reopening] = []
    for each in pending:
        if each.last < first_day or each.first > last_day:
            continue
        own = {day for day in days if each.first <= day <= each.last}
        days -= own
        due = each.again_at or now
        if own:
            due = min(due, now + FIRST_PAUSE)
        if due > now:
            waiting.append(replace(each, again_at=due))
        else:
            again += _split_for_retry(max(each.first, first_day), min(each.last, last_day), each)
    fresh = []
    if days:
        seq = int(touched["seq"].to_list()[-1])
        fresh = [Reopening(first, last, seq) for first, last in _group_days(sorted(days), longest)]
    return Decision(requests=[*fresh, *again], pending=[*fresh, *again, *waiting])


def _compute_pause(attempt: int) -> timedelta:
    doublings = min(attempt - 1, 10)
    return min(FIRST_PAUSE * int(2**doublings), LONGEST_PAUSE)


def _split_for_retry(first: date, last: date, failed: Reopening) -> list[Reopening]:
    """The failed days again, cut up so that one bad day keeps no other from being computed."""
    days = (last - first) // DAY + 1
    length = -(-days // PARTS)
    return [
        Reopening(
            first + start * DAY,
            first + (min(start + length, days) - 1) * DAY,
            failed.seq,
            failed.attempt + 1,
        )
        for start in range(0, days, length)
    ]


def compute_longest_range(nodes: Mapping[str, int], *, settings: Settings) -> timedelta:
    """Return how many days a run may compute, by the readings that the tree's nodes send in a day.

    >>> compute_longest_range({"meter": 10_000}, settings=Settings()).days
    1
    >>> compute_longest_range({"meter": 500, "sensor": 20}, settings=Settings()).days
    30
    """
    per_day = (
        nodes.get("meter", 0) * MINUTES_OF_DAY / settings.meter_interval_minutes
        + nodes.get("sensor", 0) * MINUTES_OF_DAY / settings.sensor_interval_minutes
    )
    days = int(MOST_READINGS // per_day) if per_day else LONGEST_RANGE.days
    return min(max(days, 1) * DAY, LONGEST_RANGE)


def _group_days(days: list[date], longest: timedelta) -> Iterator[tuple[date, date]]:
    """Runs of consecutive days, first and last, none longer than `longest`."""
    first = last = None
    for day in days:
        if first is None or last is None:
            first = day
        elif day - last > DAY or day - first >= longest:
            yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


def read_state(cursor: str | None) -> tuple[int, list[Reopening]]:
    """The last journal entry that was acted on, and what was asked for without known success."""
    state = json.loads(cursor or "{}")
    pending = [
        Reopening(
            date.fromisoformat(first),
            date.fromisoformat(last),
            seq,
            attempt,
            None if again_at is None else datetime.fromisoformat(again_at),
        )
        for first, last, seq, attempt, again_at in state.get("pending", [])
    ]
    return int(state.get("seq", 0)), pending


def write_state(seq: int, pending: Sequence[Reopening]) -> str:
    """Small JSON: a few fields per range, and none once all that was asked for succeeded."""
    rows = [
        [
            each.first.isoformat(),
            each.last.isoformat(),
            each.seq,
            each.attempt,
            None if each.again_at is None else each.again_at.isoformat(),
        ]
        for each in pending
    ]
    return json.dumps({"seq": seq} | ({"pending": rows} if rows else {}))


def explain_waiting(pending: Sequence[Reopening]) -> str:
    """Why no run is requested; days that failed and wait are named."""
    if not pending:
        return "no day was touched"
    named = "; ".join(
        f"{each.first} to {each.last}: attempt {each.attempt} failed, next at {each.again_at}"
        for each in pending[:MOST_NAMED]
    )
    more = f" and {len(pending) - MOST_NAMED} more" if len(pending) > MOST_NAMED else ""
    return f"no other day was touched; {named}{more}. The runs of {JOB} say why"


def find_succeeded_keys(instance: dg.DagsterInstance, keys: Collection[str]) -> set[str]:
    """Those of the run keys of which some run, the first or a retry of it, succeeded."""
    done = [dg.DagsterRunStatus.SUCCESS]
    return {
        key
        for key in keys
        if instance.get_runs_count(dg.RunsFilter(job_name=JOB, statuses=done, tags={RUN_KEY: key}))
    }


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def late_readings(
    context: dg.SensorEvaluationContext,
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.SensorResult | dg.SkipReason:
    """Re-open the days that landings touched, again if that failed.

    What a run at work may have missed waits for it.
    """
    if is_at_work(context.instance, JOB):
        return dg.SkipReason("days are being computed; what was touched since waits")
    now = clock.now()
    seq, pending = read_state(context.cursor)
    succeeded = find_succeeded_keys(context.instance, {each.run_key for each in pending})
    touched = warehouse.read_touched_since(seq, limit=MOST_ENTRIES)
    first_day, last_day = settings.first_day, settings.last_day or now.date()
    decision = decide_reopenings(
        touched,
        pending=list_pending(pending, succeeded=succeeded, now=now),
        first_day=first_day,
        last_day=last_day,
        now=now,
        longest=compute_longest_range(warehouse.count_nodes(), settings=settings),
    )
    outside = touched.filter(~pl.col("day").is_between(first_day, last_day))
    if not outside.is_empty():
        context.log.warning(
            "%d touched days from %s to %s lie outside the partitions %s .. %s: set"
            " SMARTGRID_FIRST_DAY (or SMARTGRID_LAST_DAY) and materialise refresh_days for them",
            *(outside["day"].n_unique(), outside["day"].min(), outside["day"].max()),
            *(first_day, last_day),
        )
    newest = seq if touched.is_empty() else int(touched["seq"].to_list()[-1])
    cursor = write_state(newest, decision.pending)
    if not decision.requests:
        return dg.SensorResult(skip_reason=explain_waiting(decision.pending), cursor=cursor)
    return dg.SensorResult(
        run_requests=[reopening.request() for reopening in decision.requests], cursor=cursor
    )
