"""Deliveries of the grid's tree: a whole one takes the place of the one before, a part adds."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smartgrid_core.contracts.grid import GridTopology
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport
from smartgrid_io.postgres.warehouse import PostgresWarehouse

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)

Deliver = Callable[..., LandingReport]


@pytest.fixture
def deliver(warehouse: PostgresWarehouse, tmp_path: Path) -> Deliver:
    """`deliver("S", "F<S", "M1<F")`: nodes and what they hang on, by the letter of their kind."""
    kinds = {"S": "substation", "F": "feeder", "T": "transformer", "M": "meter", "X": "kiosk"}
    files = iter(range(100))

    def write_and_land(*nodes: str) -> LandingReport:
        lines = ["node_id,node_kind,parent_id,name,latitude,longitude"]
        for node in nodes:
            node_id, _, parent = node.partition("<")
            lines.append(f"{node_id},{kinds[node_id[0]]},{parent},{node_id},41.3,19.8")
        path = tmp_path / f"grid{next(files)}.csv"
        path.write_text("\n".join(lines) + "\n")
        return land_file(path, warehouse=warehouse, layout=LandingLayout(), now=NOW)

    return write_and_land


@pytest.fixture
def nodes(warehouse: PostgresWarehouse) -> Callable[[], list[str]]:
    def stored() -> list[str]:
        rows = warehouse.read(GridTopology).select("node_id", "parent_id").rows()
        return sorted(node if parent is None else f"{node}<{parent}" for node, parent in rows)

    return stored


TREE = ("S", "F<S", "M1<F", "M2<F", "M3<F")


def test_a_whole_tree_takes_the_place_of_the_one_before(deliver, nodes):
    deliver(*TREE)
    report = deliver("S", "F2<S", "M1<F2", "M2<F2", "M4<F2")
    assert (report.status, report.rows_removed) == ("landed", 2)
    assert nodes() == ["F2<S", "M1<F2", "M2<F2", "M4<F2", "S"]


def test_the_same_tree_again_in_another_file_removes_nothing(deliver, nodes):
    deliver(*TREE)
    assert deliver(*reversed(TREE)).rows_removed == 0
    assert nodes() == sorted(TREE)


def test_other_substations_stay(deliver, nodes):
    deliver(*TREE)
    deliver("S2", "F2<S2", "M8<F2", "M9<F2")
    assert deliver("S2", "F2<S2", "M8<F2").rows_removed == 1
    assert nodes() == sorted((*TREE, "S2", "F2<S2", "M8<F2"))


def test_a_part_that_hangs_on_what_is_there_adds(deliver, nodes):
    deliver(*TREE)
    assert deliver("T1<F", "M4<T1").rows_removed == 0
    assert deliver("S").rows_removed == 0
    assert nodes() == sorted((*TREE, "T1<F", "M4<T1"))


def test_a_meter_that_moved_to_another_substation_is_not_removed(deliver, nodes):
    deliver(*TREE)
    deliver("S2", "F2<S2", "M1<F2")
    assert deliver("S", "F<S", "M2<F", "M3<F").rows_removed == 0
    assert nodes() == ["F2<S2", "F<S", "M1<F2", "M2<F", "M3<F", "S", "S2"]


def test_nothing_is_removed_by_a_file_of_which_a_row_was_refused(deliver, nodes):
    deliver(*TREE)
    report = deliver("S", "F<S", "M1<F", "M2<F", "X3<F")
    assert (report.rows_refused, report.rows_removed) == (1, 0)
    assert nodes() == sorted(TREE)


def test_a_tree_that_leaves_out_most_meters_is_refused_and_changes_nothing(deliver, nodes):
    deliver(*TREE)
    report = deliver("S", "F<S", "M9<F")
    assert report.status == "refused"
    assert (
        "leaves out 3 meters of its substations, at most 1 may go at once: such as M1, M2, M3"
        in report.message
    )
    assert nodes() == sorted(TREE)


def test_a_tree_that_was_cut_off_is_refused_and_changes_nothing(deliver, nodes):
    meters = [f"M{number:03}<F" for number in range(100)]
    deliver("S", "F<S", *meters)
    report = deliver("S", "F<S", *meters[:60])
    assert report.status == "refused"
    assert "leaves out 40 meters of its substations, at most 10 may go at once" in report.message
    assert len(nodes()) == 102
    assert deliver("S", "F<S", *meters[:95]).rows_removed == 5
