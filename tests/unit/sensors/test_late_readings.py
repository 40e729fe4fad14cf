"""Late readings re-open exactly the days that they touch."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.late_readings import decide, late_readings
from smartgrid_core.contracts.readings import TouchedDays
from smartgrid_core.settings import Settings

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
FIRST = date(2026, 3, 1)


def touched(*days: date, seq: int = 1, dataset: str = "meter_readings") -> pl.DataFrame:
    return TouchedDays.validate(
        pl.DataFrame(
            [
                {"seq": seq + number, "dataset": dataset, "day": day, "touched_at": NOW}
                for number, day in enumerate(days)
            ],
            schema=TouchedDays.create_empty().schema,
        )
    )


def march(*days: int) -> list[date]:
    return [date(2026, 3, day) for day in days]


class Journal:
    """A warehouse that knows nothing but its journal."""

    def __init__(self, entries: pl.DataFrame) -> None:
        self.entries = entries

    def touched_since(self, seq: int, *, limit: int = 1000) -> pl.DataFrame:
        return self.entries.filter(pl.col("seq") > seq).sort("seq").head(limit)


class StillClock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(entries: pl.DataFrame, instance: dg.DagsterInstance, *, cursor: str | None = None):
    return late_readings(
        dg.build_sensor_context(instance=instance, cursor=cursor),
        warehouse=Journal(entries),
        settings=Settings(_env_file=None, first_day=FIRST),
        clock=StillClock(),
    )


def test_neighbouring_days_are_one_run_and_a_lone_day_another(instance):
    result = tick(touched(*march(3, 2, 4, 7)), instance)
    assert [(each.partition_key, dict(each.tags)) for each in result.run_requests] == [
        (
            None,
            {
                "dagster/asset_partition_range_start": "2026-03-02",
                "dagster/asset_partition_range_end": "2026-03-04",
            },
        ),
        ("2026-03-07", {}),
    ]
    assert result.cursor == '{"seq": 4}'


def test_what_was_acted_on_is_not_requested_again(instance):
    entries = touched(*march(2, 3))
    first = tick(entries, instance)
    assert isinstance(tick(entries, instance, cursor=first.cursor), dg.SkipReason)


def test_a_day_that_is_touched_again_is_computed_again(instance):
    first = tick(touched(*march(2)), instance)
    again = tick(touched(*march(2, 2)), instance, cursor=first.cursor)
    keys = {request.run_key for result in (first, again) for request in result.run_requests}
    assert keys == {"late:1:2026-03-02:2026-03-02", "late:2:2026-03-02:2026-03-02"}


def test_days_outside_the_partitions_are_passed_over(instance):
    result = tick(touched(date(2025, 1, 1), date(2026, 3, 10), date(2026, 3, 11)), instance)
    assert [request.partition_key for request in result.run_requests] == ["2026-03-10"]
    assert result.cursor == '{"seq": 3}'


def test_while_days_are_computed_the_journal_waits(instance):
    instance.add_run(
        dg.DagsterRun(job_name="refresh_days", run_id="r1", status=dg.DagsterRunStatus.STARTING)
    )
    assert isinstance(tick(touched(*march(2)), instance), dg.SkipReason)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-5, 40), max_size=30))
def test_exactly_the_touched_days_within_the_partitions_are_reopened(offsets):
    days = [FIRST + timedelta(days=offset) for offset in offsets]
    last = FIRST + timedelta(days=30)
    ranges = decide(touched(*days), first_day=FIRST, last_day=last)
    reopened = [
        each.first + timedelta(days=number)
        for each in ranges
        for number in range((each.last - each.first).days + 1)
    ]
    assert reopened == sorted({day for day in days if FIRST <= day <= last})
