"""The distribution tree flattened: which transformer, feeder and substation a meter hangs on."""

import polars as pl

from smartgrid_core.contracts.grid import MeterPlaces
from smartgrid_core.errors import ContractError

ABOVE_A_METER = ("transformer", "feeder", "substation")


def place_meters(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return rows of `MeterPlaces`, ordered by meter_id, from rows of `GridTopology`.

    Raises:
        ContractError: A meter lacks a transformer, feeder or substation above it; the first is
            named.
    """
    nodes = topology.lazy().select("node_id", "node_kind", "parent_id").collect()
    kind_of = dict(zip(nodes["node_id"], nodes["node_kind"], strict=True))
    parent_of = dict(zip(nodes["node_id"], nodes["parent_id"], strict=True))
    meters = (
        topology.lazy()
        .filter(pl.col("node_kind") == "meter")
        .select(pl.col("node_id").alias("meter_id"), "customer_id", "customer_kind")
        .sort("meter_id")
        .collect()
    )
    places: dict[str, list[str]] = {f"{kind}_id": [] for kind in ABOVE_A_METER}
    for meter_id in meters["meter_id"]:
        above = _find_nodes_above(meter_id, kind_of=kind_of, parent_of=parent_of)
        for kind in ABOVE_A_METER:
            if kind not in above:
                raise ContractError(
                    f"grid_topology: no {kind} above meter {meter_id!r}; give it a parent_id that "
                    f"leads to one (found above it: {', '.join(above.values()) or 'nothing'})"
                )
            places[f"{kind}_id"].append(above[kind])
    placed = meters.with_columns(
        pl.Series(name, ids, dtype=pl.String) for name, ids in places.items()
    )
    return MeterPlaces.validate(placed, cast=True)


def _find_nodes_above(
    node_id: str, *, kind_of: dict[str, str], parent_of: dict[str, str | None]
) -> dict[str, str]:
    """Return the nearest node of each kind on the way up; a circle ends the walk."""
    above: dict[str, str] = {}
    visited = {node_id}
    parent = parent_of[node_id]
    while parent is not None and parent in kind_of and parent not in visited:
        visited.add(parent)
        above.setdefault(kind_of[parent], parent)
        parent = parent_of[parent]
    return above


def map_nodes_to_feeders(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return one row per feeder and per node below one: node_id, feeder_id, ordered by node_id.

    >>> nodes = {"node_id": ["F1", "T1"], "node_kind": ["feeder", "transformer"]}
    >>> map_nodes_to_feeders(pl.DataFrame(nodes | {"parent_id": [None, "F1"]})).rows()
    [('F1', 'F1'), ('T1', 'F1')]
    """
    nodes = topology.lazy().select("node_id", "node_kind", "parent_id").collect()
    kind_of = dict(zip(nodes["node_id"], nodes["node_kind"], strict=True))
    parent_of = dict(zip(nodes["node_id"], nodes["parent_id"], strict=True))
    rows = []
    for node_id in sorted(kind_of):
        is_feeder = kind_of[node_id] == "feeder"
        above = _find_nodes_above(node_id, kind_of=kind_of, parent_of=parent_of)
        feeder = node_id if is_feeder else above.get("feeder")
        if feeder is not None:
            rows.append((node_id, feeder))
    return pl.DataFrame(rows, schema={"node_id": pl.String, "feeder_id": pl.String}, orient="row")


def list_feeder_ratings(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return one row per feeder with a known thermal limit: feeder_id, rating_kw, by feeder_id."""
    return (
        topology.lazy()
        .filter(pl.col("node_kind") == "feeder", pl.col("rating_kw").is_not_null())
        .select(pl.col("node_id").alias("feeder_id"), "rating_kw")
        .sort("feeder_id")
        .collect()
    )


def list_sensor_voltages(topology: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Return one row per sensor whose nominal voltage is known: sensor_id, nominal_v, by sensor_id.

    `nominal_v` is phase to neutral in V, as sensors measure it; a sensor without a nominal
    voltage of its own has that of the node it hangs on.
    """
    nodes = topology.lazy().select("node_id", "node_kind", "parent_id", "nominal_voltage_v")
    parents = nodes.select(parent_id="node_id", parent_v="nominal_voltage_v")
    return (
        nodes.filter(pl.col("node_kind") == "sensor")
        .join(parents, on="parent_id", how="left")
        .select(
            sensor_id="node_id",
            nominal_v=pl.coalesce("nominal_voltage_v", "parent_v") / 3**0.5,
        )
        .drop_nulls()
        .sort("sensor_id")
        .collect()
    )
