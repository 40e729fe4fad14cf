"""What follows its inputs by itself is never left behind them, whatever was running meanwhile."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta

import dagster as dg
import pytest

from smartgrid_assets.definitions import build_definitions
from smartgrid_assets.partitions import FOLLOW, follow_closed_days


class Pair:
    """A truth and what follows it; `meanwhile` happens while the follower is being computed."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.meanwhile: Callable[[], object] = lambda: None
        self.cursor = None

        @dg.asset
        def truth() -> None:
            """What is computed elsewhere."""

        @dg.asset(deps=[truth], automation_condition=FOLLOW)
        def follower() -> None:
            self.meanwhile()

        self.truth, self.follower = truth, follower
        self.graph = dg.Definitions(assets=[truth, follower])
        self.ask()

    def ask(self) -> int:
        """One look of the automation sensor: how many runs it asks for."""
        looked = dg.evaluate_automation_conditions(
            self.graph,
            instance=self.instance,
            asset_selection=dg.AssetSelection.assets("follower"),
            cursor=self.cursor,
        )
        self.cursor = looked.cursor
        return looked.total_requested

    def compute(self, name: str) -> None:
        """A run of the one asset, from its beginning to its end."""
        result = dg.materialize(
            [self.truth, self.follower],
            selection=dg.AssetSelection.assets(name),
            instance=self.instance,
        )
        assert result.success


@pytest.fixture
def pair():
    with dg.DagsterInstance.ephemeral() as instance:
        yield Pair(instance)


def test_it_is_asked_for_once_when_its_input_was_computed(pair):
    pair.compute("truth")
    assert pair.ask() == 1
    assert pair.ask() == 0
    pair.compute("follower")
    assert [pair.ask(), pair.ask()] == [0, 0]


def test_an_input_that_changes_right_after_it_was_asked_for_is_not_missed(pair):
    pair.compute("truth")
    assert pair.ask() == 1
    pair.compute("truth")
    assert pair.ask() == 1
    assert pair.ask() == 0


def test_an_input_that_changes_while_it_is_computed_is_not_missed(pair):
    asked_meanwhile = []

    def late_readings() -> None:
        pair.compute("truth")
        asked_meanwhile.append(pair.ask())

    pair.compute("truth")
    assert pair.ask() == 1
    pair.meanwhile = late_readings
    pair.compute("follower")
    assert asked_meanwhile == [0]
    assert pair.ask() == 1
    pair.meanwhile = lambda: None
    pair.compute("follower")
    assert [pair.ask(), pair.ask()] == [0, 0]


def test_an_input_that_changes_while_it_is_computed_is_not_missed_even_if_nobody_looked(pair):
    pair.compute("truth")
    assert pair.ask() == 1
    assert pair.ask() == 0
    pair.meanwhile = lambda: pair.compute("truth")
    pair.compute("follower")
    assert pair.ask() == 1


def test_what_was_there_before_anybody_looked_is_not_asked_for(pair):
    pair.compute("truth")
    pair.cursor = None
    assert [pair.ask(), pair.ask()] == [0, 0]


FIRST = date(2026, 3, 1)
DAYS = dg.DailyPartitionsDefinition(FIRST.isoformat(), end_date="2026-03-21")
LOOK_BACK = dg.TimeWindowPartitionMapping(
    start_offset=-2, allow_nonexistent_upstream_partitions=True
)


@dg.asset(partitions_def=DAYS)
def days_of_load() -> None:
    """Truth, day by day."""


@dg.asset(
    partitions_def=DAYS,
    deps=[dg.AssetDep(days_of_load, partition_mapping=LOOK_BACK)],
    automation_condition=FOLLOW,
)
def days_of_features() -> None:
    """Every day looks two days back."""


@dg.asset(
    partitions_def=DAYS,
    deps=[days_of_load],
    automation_condition=follow_closed_days("days_of_load"),
)
def judged_days() -> None:
    """Whole days only."""


class Watch:
    """The automation sensor over one of the followers."""

    def __init__(self, instance: dg.DagsterInstance, follower: dg.AssetsDefinition) -> None:
        self.instance, self.key, self.cursor = instance, follower.key, None
        self.graph = dg.Definitions(assets=[days_of_load, follower])
        self.ask()

    def ask(self) -> set[int]:
        """The days of March that a look asks for."""
        looked = dg.evaluate_automation_conditions(
            self.graph,
            instance=self.instance,
            asset_selection=dg.AssetSelection.assets(self.key),
            cursor=self.cursor,
        )
        self.cursor = looked.cursor
        return {date.fromisoformat(key).day for key in looked.get_requested_partitions(self.key)}

    def compute(self, assets: Iterable[dg.AssetsDefinition], days: Iterable[int]) -> None:
        """Runs of these assets together, a day each."""
        for day in days:
            key = (FIRST + timedelta(days=day - 1)).isoformat()
            assert dg.materialize([*assets], partition_key=key, instance=self.instance).success


@pytest.fixture
def watch():
    with dg.DagsterInstance.ephemeral() as instance:
        yield lambda follower: Watch(instance, follower)


def test_a_late_day_is_followed_by_every_day_that_looks_back_on_it(watch):
    watched = watch(days_of_features)
    watched.compute([days_of_load], [5])
    assert watched.ask() == {5, 6, 7}
    watched.compute([days_of_load], [6])
    assert watched.ask() == {6, 7, 8}
    watched.compute([days_of_features], [5, 6, 7, 8])
    assert watched.ask() == watched.ask() == set()


def test_days_behind_one_that_was_computed_by_hand_with_its_input_follow(watch):
    watched = watch(days_of_features)
    watched.compute([days_of_load, days_of_features], [5])
    assert watched.ask() >= {6, 7}


def test_of_whole_days_the_last_one_that_has_begun_is_not_followed(watch):
    watched = watch(judged_days)
    watched.compute([days_of_load], [9, 20])
    assert watched.ask() == {9}
    watched.compute([days_of_load], [9])
    assert watched.ask() == {9}
    assert watched.ask() == set()


def test_no_job_computes_an_asset_together_with_what_it_follows():
    graph = build_definitions()
    assets = graph.resolve_asset_graph()
    together = {
        (job.name, key.to_user_string())
        for job in graph.resolve_all_job_defs()
        if not job.name.startswith("__")
        for key in job.asset_layer.executable_asset_keys
        if assets.get(key).automation_condition is not None
        and assets.get(key).parent_keys & job.asset_layer.executable_asset_keys
    }
    # This one waits for a verdict, not for news.
    assert together == {("train_models", "served_model")}
