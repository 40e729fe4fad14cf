import polars as pl
import pytest

from smartgrid_core.contracts.grid import GridTopology, MeterPlaces
from smartgrid_core.errors import ContractError
from smartgrid_core.topology import (
    list_feeder_ratings,
    list_sensor_voltages,
    map_nodes_to_feeders,
    place_meters,
)


def tree(*nodes: tuple[str, str, str | None], **more: dict[str, object]) -> pl.DataFrame:
    rows = [
        {
            "node_id": node_id,
            "node_kind": kind,
            "parent_id": parent,
            "name": node_id,
            "latitude": 41.3,
            "longitude": 19.8,
            **{column: values.get(node_id) for column, values in more.items()},
        }
        for node_id, kind, parent in nodes
    ]
    blank = dict.fromkeys(GridTopology.column_names())
    return GridTopology.validate(pl.DataFrame([{**blank, **row} for row in rows]), cast=True)


GRID = (
    ("S", "substation", None),
    ("F1", "feeder", "S"),
    ("F2", "feeder", "S"),
    ("T1", "transformer", "F1"),
    ("T2", "transformer", "F2"),
    ("m2", "meter", "T2"),
    ("m1", "meter", "T1"),
    ("S-F1", "sensor", "F1"),
    ("S-T1", "sensor", "T1"),
    ("S-T2", "sensor", "T2"),
)


def test_every_meter_knows_all_that_is_above_it():
    places = place_meters(
        tree(*GRID, customer_id={"m1": "c1"}, customer_kind={"m1": "pv", "m2": "household"}).lazy()
    )
    assert MeterPlaces.is_valid(places)
    assert places.rows() == [
        ("m1", "c1", "pv", "T1", "F1", "S"),
        ("m2", None, "household", "T2", "F2", "S"),
    ]


def test_a_grid_without_meters_has_no_places():
    assert place_meters(tree(*GRID[:3])).is_empty()


@pytest.mark.parametrize(
    "nodes",
    [
        [("S", "substation", None), ("F1", "feeder", "S"), ("m1", "meter", "F1")],
        [("m1", "meter", None)],
        [("m1", "meter", "lost")],
        [("T1", "transformer", "F1"), ("F1", "feeder", "T1"), ("m1", "meter", "T1")],
    ],
    ids=["no transformer", "no parent", "unknown parent", "a circle"],
)
def test_a_meter_that_hangs_in_the_air_is_named(nodes):
    with pytest.raises(ContractError, match="above meter 'm1'; give it a parent_id"):
        place_meters(tree(*nodes))


def test_feeders_with_a_rating_are_listed():
    ratings = list_feeder_ratings(tree(*GRID, rating_kw={"F2": 400.0, "T1": 250.0}))
    assert ratings.rows() == [("F2", 400.0)]


def test_a_sensor_measures_the_phase_voltage_of_what_it_hangs_on():
    voltages = list_sensor_voltages(
        tree(*GRID, nominal_voltage_v={"F1": 20_000.0, "T1": 690.0, "S-T1": 400.0})
    )
    assert voltages.rows() == [
        ("S-F1", pytest.approx(11_547.0, abs=0.1)),
        ("S-T1", pytest.approx(230.9, abs=0.1)),
    ]


def test_every_node_below_a_feeder_is_told_its_feeder():
    tree = pl.DataFrame(
        [
            ("SUB1", "substation", None),
            ("S-SUB1", "sensor", "SUB1"),
            ("F1", "feeder", "SUB1"),
            ("S-F1", "sensor", "F1"),
            ("T1", "transformer", "F1"),
            ("M1", "meter", "T1"),
            ("LOST", "meter", "NOWHERE"),
        ],
        schema=["node_id", "node_kind", "parent_id"],
        orient="row",
    )

    assert map_nodes_to_feeders(tree).rows() == [
        ("F1", "F1"),
        ("M1", "F1"),
        ("S-F1", "F1"),
        ("T1", "F1"),
    ]
