"""Late readings re-open exactly the days that they touch."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.late_readings import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Reopening,
    decide_reopenings,
    late_readings,
    list_pending,
    read_state,
)
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

    def __init__(self, entries: pl.DataFrame, *, meters: int = 0) -> None:
        self.entries = entries
        self.meters = meters

    def count_nodes(self) -> dict[str, int]:
        return {"meter": self.meters} if self.meters else {}

    def read_touched_since(self, seq: int, *, limit: int = 1000) -> pl.DataFrame:
        return self.entries.filter(pl.col("seq") > seq).sort("seq").head(limit)


class StillClock:
    def __init__(self, time: datetime) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time


def end_runs(instance: dg.DagsterInstance, result: dg.SensorResult, *failed: str) -> None:
    """Every requested run ends well, but those whose first day is named."""
    for request in result.run_requests:
        first = request.partition_key or request.tags["dagster/asset_partition_range_start"]
        status = dg.DagsterRunStatus.FAILURE if first in failed else dg.DagsterRunStatus.SUCCESS
        tags = {"dagster/run_key": request.run_key}
        instance.add_run(
            dg.DagsterRun(job_name="refresh_days", run_id=request.run_key, status=status, tags=tags)
        )


def keys(result: dg.SensorResult) -> list[str]:
    return [request.run_key for request in result.run_requests]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(
    entries: pl.DataFrame,
    instance: dg.DagsterInstance,
    *,
    cursor: str | None = None,
    now: datetime = NOW,
    meters: int = 0,
):
    return late_readings(
        dg.build_sensor_context(instance=instance, cursor=cursor),
        warehouse=Journal(entries, meters=meters),
        settings=Settings(_env_file=None, first_day=FIRST),
        clock=StillClock(now),
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


def test_the_more_meters_a_grid_has_the_fewer_days_are_one_run(instance):
    entries = touched(*march(2, 3, 4, 5, 6))
    spans = {
        meters: [
            (each.partition_key or each.tags["dagster/asset_partition_range_end"])[-2:]
            for each in tick(entries, instance, meters=meters).run_requests
        ]
        for meters in (100, 5_000, 10_000, 1_000_000)
    }
    assert spans == {
        100: ["06"],
        5_000: ["04", "06"],
        10_000: ["02", "03", "04", "05", "06"],
        1_000_000: ["02", "03", "04", "05", "06"],
    }


def test_what_succeeded_is_not_requested_again(instance):
    entries = touched(*march(2, 3))
    first = tick(entries, instance)
    end_runs(instance, first)
    second = tick(entries, instance, cursor=first.cursor)
    assert (second.run_requests, second.cursor) == ([], '{"seq": 2}')


def test_a_day_that_is_touched_again_is_computed_again(instance):
    first = tick(touched(*march(2)), instance)
    end_runs(instance, first)
    again = tick(touched(*march(2, 2)), instance, cursor=first.cursor)
    assert [keys(first), keys(again)] == [
        ["late:1:2026-03-02:2026-03-02#1"],
        ["late:2:2026-03-02:2026-03-02#1"],
    ]


def test_a_day_whose_run_failed_is_asked_for_again_after_a_pause(instance):
    entries = touched(*march(2, 5))
    first = tick(entries, instance)
    end_runs(instance, first, "2026-03-02")
    seen = tick(entries, instance, cursor=first.cursor)
    again = tick(entries, instance, cursor=seen.cursor, now=NOW + FIRST_PAUSE)
    end_runs(instance, again)
    settled = tick(entries, instance, cursor=again.cursor, now=NOW + FIRST_PAUSE)
    assert (seen.run_requests, keys(again)) == ([], ["late:2:2026-03-02:2026-03-02#2"])
    assert "2026-03-02 to 2026-03-02: attempt 1 failed" in seen.skip_reason.skip_message
    assert (settled.run_requests, settled.cursor) == ([], '{"seq": 2}')


def test_a_run_that_a_retry_mended_counts_as_computed(instance):
    entries = touched(*march(2))
    first = tick(entries, instance)
    end_runs(instance, first, "2026-03-02")
    seen = tick(entries, instance, cursor=first.cursor)
    instance.add_run(
        dg.DagsterRun(
            job_name="refresh_days",
            run_id="retry",
            status=dg.DagsterRunStatus.SUCCESS,
            tags={"dagster/run_key": keys(first)[0]},
        )
    )
    settled = tick(entries, instance, cursor=seen.cursor, now=NOW + FIRST_PAUSE)
    assert (settled.run_requests, settled.cursor) == ([], '{"seq": 1}')


def test_a_bad_day_is_found_and_keeps_no_other_from_being_computed():
    days = [FIRST + timedelta(days=number) for number in range(92)]
    bad, now, computed, runs = FIRST + timedelta(days=40), NOW, set(), []
    asked = decide_reopenings(touched(*days), first_day=FIRST, last_day=days[-1], now=now)
    while len(computed) < 91:
        runs.append(len(asked.requests))
        good = {each for each in asked.requests if not each.first <= bad <= each.last}
        computed |= {day for day in days for each in good if each.first <= day <= each.last}
        succeeded = {each.run_key for each in good}
        pending = list_pending(asked.pending, succeeded=succeeded, now=now)
        now = max(each.again_at for each in pending)
        asked = decide_reopenings(
            touched(), pending=pending, first_day=FIRST, last_day=days[-1], now=now
        )
    assert runs == [1, 4, 4, 3, 2]
    assert [(each.first, each.last) for each in asked.requests] == [(bad, bad)]
    assert now - NOW < timedelta(hours=3)


def test_a_day_that_never_succeeds_is_tried_ever_more_rarely_and_never_given_up():
    now, pauses = NOW, []
    asked = decide_reopenings(touched(*march(2)), first_day=FIRST, last_day=NOW.date(), now=now)
    for _ in range(10):
        (waiting,) = list_pending(asked.pending, succeeded=set(), now=now)
        pauses.append((waiting.again_at - now) // timedelta(minutes=1))
        now = waiting.again_at
        asked = decide_reopenings(
            touched(), pending=[waiting], first_day=FIRST, last_day=NOW.date(), now=now
        )
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 720, 720]
    assert [each.run_key for each in asked.requests] == ["late:1:2026-03-02:2026-03-02#11"]


def test_new_readings_of_a_failing_day_shorten_its_pause_and_ask_for_no_other_run():
    failing = Reopening(*march(2, 2), seq=1, attempt=9, again_at=NOW + LONGEST_PAUSE)
    decision = decide_reopenings(
        touched(*march(2, 3), seq=7),
        pending=[failing],
        first_day=FIRST,
        last_day=NOW.date(),
        now=NOW,
    )
    assert [each.run_key for each in decision.requests] == ["late:8:2026-03-03:2026-03-03#1"]
    assert decision.pending[1:] == [
        Reopening(*march(2, 2), seq=1, attempt=9, again_at=NOW + FIRST_PAUSE)
    ]


def test_what_is_pending_outlives_the_daemon(instance):
    result = tick(touched(*march(2, 3, 7)), instance)
    assert read_state(result.cursor) == (
        3,
        [Reopening(*march(2, 3), seq=3), Reopening(*march(7, 7), seq=3)],
    )


def test_the_cursor_of_an_earlier_version_is_understood():
    assert read_state('{"seq": 4}') == (4, [])


def test_days_outside_the_partitions_are_passed_over(instance):
    result = tick(touched(date(2025, 1, 1), date(2026, 3, 10), date(2026, 3, 11)), instance)
    assert [request.partition_key for request in result.run_requests] == ["2026-03-10"]
    assert read_state(result.cursor)[0] == 3


def test_while_days_are_computed_the_journal_waits(instance):
    instance.add_run(
        dg.DagsterRun(job_name="refresh_days", run_id="r1", status=dg.DagsterRunStatus.STARTING)
    )
    assert isinstance(tick(touched(*march(2)), instance), dg.SkipReason)


@given(st.lists(st.integers(-5, 40), max_size=30))
def test_exactly_the_touched_days_within_the_partitions_are_reopened(offsets):
    days = [FIRST + timedelta(days=offset) for offset in offsets]
    last = FIRST + timedelta(days=30)
    decision = decide_reopenings(touched(*days), first_day=FIRST, last_day=last, now=NOW)
    reopened = [
        each.first + timedelta(days=number)
        for each in decision.requests
        for number in range((each.last - each.first).days + 1)
    ]
    assert reopened == sorted({day for day in days if FIRST <= day <= last})
