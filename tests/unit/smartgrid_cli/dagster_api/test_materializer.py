import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_cli.dagster_api import materializer
from smartgrid_cli.dagster_api.materializer import (
    Materializer,
    RunFailedError,
    list_missing_days,
    list_problems,
)
from smartgrid_cli.dagster_api.records import Asset, Observation, Run, Sensor, Step
from smartgrid_cli.dagster_api.transport import DagsterApiError
from smartgrid_core.runs import iter_day_ranges

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 10)


def days(*numbers: int) -> frozenset[date]:
    return frozenset(date(2026, 3, number) for number in numbers)


def asset(name: str = "feeder_load", **facts: object) -> Asset:
    plain = Asset(
        name=name,
        group="aggregates",
        jobs=("refresh_days",),
        is_partitioned=True,
        first_day=FIRST,
        last_day=LAST,
        done=frozenset(),
        failed=frozenset(),
        is_materialized=False,
        is_failed=False,
    )
    return replace(plain, **facts)


def run(run_id: str, status: str, **tags: str) -> Run:
    named = {name.replace("__", "/"): value for name, value in tags.items()}
    return Run(run_id, "refresh_days", status, named, created=0.0, started=None, ended=None)


def test_a_day_is_missing_if_one_asset_lacks_it_or_failed_at_it():
    found = list_missing_days(
        [
            asset(done=days(*range(1, 11)) - days(4)),
            asset("meter_consumption", done=days(*range(1, 11)), failed=days(7)),
        ],
        first=FIRST,
        last=date(2026, 3, 31),
    )
    assert found == sorted(days(4, 7))


def test_days_before_an_assets_first_one_are_not_missing():
    assert list_missing_days([asset()], first=date(2026, 2, 1), last=date(2026, 3, 2)) == [
        date(2026, 3, 1),
        date(2026, 3, 2),
    ]


@given(
    numbers=st.sets(st.integers(0, 60)).map(sorted),
    longest=st.integers(1, 20),
)
def test_ranges_hold_every_day_once_and_none_is_too_long(numbers: list[int], longest: int):
    wanted = [FIRST + timedelta(days=number) for number in numbers]
    spans = list(iter_day_ranges(wanted, longest=longest))
    held = [a + timedelta(days=n) for a, b in spans for n in range((b - a).days + 1)]
    assert held == wanted
    assert all((b - a).days < longest for a, b in spans)


def test_what_failed_or_is_missing_or_refused_is_said():
    said = list_problems(
        [
            asset("sensor_data", done=days(*range(1, 11))),
            asset("meter_readings", done=days(1, 2, 5, 6, 7, 8, 9, 10)),
            asset("feeder_load", done=days(*range(1, 10)), failed=days(10)),
            asset("load_model", is_partitioned=False, jobs=("train_models",)),
            asset("weekly_report", jobs=("somebody_elses",)),
        ],
        wanted={"refresh_days": (FIRST, LAST), "train_models": (FIRST, LAST)},
        refused=["schema of feeder_load"],
    )
    assert said == [
        "meter_readings lacks 2026-03-03 .. 2026-03-04",
        "feeder_load failed for 2026-03-10",
        "load_model was not made",
        "the check schema of feeder_load refused",
    ]


@dataclass
class FakeGraph:
    """A Dagster whose runs end as written in `ends`, each on the second look."""

    known: list[Asset]
    ends: list[Run] = field(default_factory=list)
    launched: list[tuple[str, object]] = field(default_factory=list)
    looks: int = 0

    def list_assets(self) -> list[Asset]:
        return self.known

    def launch(self, job: str, *, days: object, tags: Mapping[str, str]) -> str:
        self.launched.append((job, days))
        return f"r{len(self.launched)}"

    def list_runs(self, *, ids: Sequence[str] | None = None, limit: int = 0) -> list[Run]:
        if ids is not None:
            return [one for one in self.ends if one.run_id in ids]
        self.looks += 1
        under_way = [run(one.run_id, "STARTED") for one in self.ends]
        return under_way if self.launched and self.looks % 3 else self.ends

    def list_steps(self, run_id: str) -> list[Step]:
        return [Step("feeder_load", "IN_PROGRESS", 0.0, None)]

    def list_observations(self, asset: str, *, run_id: str, after: float) -> list[Observation]:
        ended = {"engine": "h2o", "trials": 1, "best": 2.0, "left_s": 0.0, "ended": "budget used"}
        return [Observation(after, ended)] if asset == "feeder_load" else []

    def explain_failure(self, run_id: str) -> str:
        return f"feeder_load: {run_id} is full"


class NoProgress:
    def __init__(self) -> None:
        self.kept: list[str] = []

    def show_runs(self, runs: Sequence[tuple[Run, Sequence[Step]]], note: str) -> None: ...

    def keep(self, sentence: str) -> None:
        self.kept.append(sentence)

    def clear(self) -> None: ...


def walker(graph: object) -> Materializer:
    return Materializer(graph, NoProgress(), check=lambda: None)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materializer, "POLL_S", 0.0)


def test_only_the_missing_stretches_are_run():
    graph = FakeGraph(
        [asset(done=days(1, 2, 5, 6))], ends=[run("r1", "SUCCESS"), run("r2", "SUCCESS")]
    )
    assert walker(graph).run_missing("refresh_days", first=FIRST, last=date(2026, 3, 8)) == 2
    assert graph.launched == [
        ("refresh_days", (date(2026, 3, 3), date(2026, 3, 4))),
        ("refresh_days", (date(2026, 3, 7), date(2026, 3, 8))),
    ]


def test_a_search_that_ended_within_a_run_is_printed_once():
    graph = FakeGraph([asset()], ends=[run("r1", "SUCCESS")])
    walking = walker(graph)
    walking.run_missing("refresh_days", first=FIRST, last=LAST)
    kept = walking.progress.kept  # type: ignore[attr-defined]
    assert kept == ["  h2o tried 1 model, best MAE 2 (budget used)"]


def test_nothing_is_run_where_nothing_is_missing():
    graph = FakeGraph([asset(done=days(*range(1, 11)))])
    assert walker(graph).run_missing("refresh_days", first=FIRST, last=LAST) == 0
    assert graph.launched == []


@pytest.mark.parametrize(
    ("is_materialized", "is_failed", "launched"),
    [(False, False, 1), (True, True, 1), (True, False, 0)],
)
def test_an_unpartitioned_job_runs_if_something_is_not_made_or_failed_last(
    is_materialized: bool, is_failed: bool, launched: int
):
    made = asset(is_partitioned=False, is_materialized=is_materialized, is_failed=is_failed)
    graph = FakeGraph([made], ends=[run("r1", "SUCCESS")])
    assert walker(graph).run_missing("refresh_days", first=FIRST, last=LAST) == launched


@dataclass
class Following:
    """A Dagster with one condition: each of its looks asks for the next of `asks` by a backfill.

    A backfill has no run at first, then one, then none, and then is over. Every question is a
    second on `clock`.
    """

    asks: list[str]
    clock: float = 100.0
    open: list[str] = field(default_factory=list)
    ended: list[Run] = field(default_factory=list)
    age: int = 0
    never_launches: bool = False

    def list_sensors(self) -> list[Sensor]:
        self.clock += 1
        if self.asks and not self.open:
            self.open, self.age = [self.asks.pop(0)], 0
        return [Sensor("conditions", 30, last_tick=self.clock, last_error=None)]

    def list_backfilled(self) -> list[str]:
        self.clock += 1
        if self.open and not self.never_launches:
            self.age += 1
            if self.age == 4:
                self.ended.append(replace(run(self.open[0], "SUCCESS"), ended=self.clock))
            if self.age == 6:
                self.open = []
        return self.open

    def list_runs(self, *, limit: int = 0, created_after: float = 0.0) -> list[Run]:
        under_way = [run(self.open[0], "STARTED")] if self.open and self.age in (2, 3) else []
        return [*under_way, *self.ended]

    def list_steps(self, run_id: str) -> list[Step]:
        return [Step(run_id, "IN_PROGRESS", 0.0, None)]

    def list_observations(self, asset: str, *, run_id: str, after: float) -> list[Observation]:
        return []


def test_what_follows_has_caught_up_when_a_look_asks_for_nothing():
    graph = Following(["first days", "late days"])
    runs = walker(graph).wait_until_sensors_idle(since=100.0, of=["conditions"])
    assert [one.run_id for one in runs] == ["first days", "late days"]
    assert (graph.asks, graph.open) == ([], [])


def test_a_backfill_that_does_not_go_on_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(materializer, "BACKFILL_PATIENCE_S", 0.0)
    graph = Following(["load_features"], never_launches=True)
    with pytest.raises(DagsterApiError, match="backfill of load_features does not go on"):
        walker(graph).wait_until_sensors_idle(since=100.0, of=["conditions"])


def test_a_sensor_that_is_switched_off_is_named_instead_of_waited_for():
    with pytest.raises(DagsterApiError, match="late_readings is switched off"):
        walker(Following([])).wait_for_ticks(0.0, of=["late_readings"])


def test_a_failed_run_is_named_with_its_error():
    graph = FakeGraph([asset()], ends=[run("r1", "FAILURE")])
    with pytest.raises(RunFailedError, match="refresh_days failed: feeder_load: r1 is full"):
        walker(graph).run_missing("refresh_days", first=FIRST, last=LAST)


def test_a_run_that_was_tried_again_counts_by_its_last_try():
    first = run("r1", "FAILURE", dagster__will_retry="true", dagster__auto_retry_run_id="r9")
    graph = FakeGraph([asset()], ends=[first, run("r9", "SUCCESS")])
    assert walker(graph).run_missing("refresh_days", first=FIRST, last=LAST) == 1


def test_a_failed_run_is_waited_for_until_its_second_try_exists():
    assert run("r1", "FAILURE", dagster__will_retry="true").will_be_tried_again
    assert not run("r1", "FAILURE", dagster__will_retry="false").will_be_tried_again
    assert not run("r1", "SUCCESS").will_be_tried_again


def test_a_run_that_has_just_failed_is_waited_for_until_its_fate_is_written_down():
    just_now, long_ago = time.time() - 1, time.time() - 60
    assert replace(run("r1", "FAILURE"), ended=just_now).will_be_tried_again
    assert not replace(run("r1", "FAILURE"), ended=long_ago).will_be_tried_again
    decided = run("r1", "FAILURE", dagster__will_retry="false")
    assert not replace(decided, ended=just_now).will_be_tried_again
    tried = run("r1", "FAILURE", dagster__auto_retry_run_id="r2")
    assert not replace(tried, ended=just_now).will_be_tried_again


def test_a_sensor_that_looked_before_is_still_waited_for():
    sensors = [
        Sensor("arrivals", 30, last_tick=10.0, last_error=None),
        Sensor("touched", 30, last_tick=30.0, last_error=None),
        Sensor("alerts", 30, last_tick=None, last_error=None),
    ]
    assert [s.name for s in materializer.select_late_sensors(sensors, 20.0)] == [
        "arrivals",
        "alerts",
    ]
