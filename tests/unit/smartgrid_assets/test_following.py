"""What follows its inputs by itself is never left behind them, whatever was running meanwhile."""

from collections.abc import Callable

import dagster as dg
import pytest

from smartgrid_assets.partitions import FOLLOW


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
