"""The committed demo grid: its tables, its tree for `grid_topology`, its power flow."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray
from power_grid_model import (
    ComponentType,
    DatasetType,
    LoadGenType,
    PowerGridModel,
    WindingType,
    initialize_array,
)

from smartgrid_core.contracts.grid import GridTopology

Floats = NDArray[np.float64]

DATA = Path(__file__).parent / "data"
SUBSTATION = "SUB1"
PROFILE_SCALE = 1e-4
"""What one count of a committed profile stands for."""
TRANSFORMER_POWER_FACTOR = 0.9
"""Active power per rated apparent power that a transformer is trusted with."""
SHORT_CIRCUIT_VA = 300e6
"""Of the 20 kV busbar, behind which the rest of the network lies."""


@dataclass(frozen=True)
class Grid:
    """The demo grid as it lies in a folder; every table is described in demo/README.md.

    Attributes:
        nodes: One row per electrical node.
        lines: One row per cable or overhead line.
        transformers: One row per transformer 20/0.4 kV.
        meters: One row per meter, in the order of all arrays (n_meters, ...).
        feeders: One row per feeder with its rating, kW; empty while ratings are computed.
        profiles: One year of each profile type, float64 (n_steps,), relative to the rated power.
    """

    nodes: pl.DataFrame
    lines: pl.DataFrame
    transformers: pl.DataFrame
    meters: pl.DataFrame
    feeders: pl.DataFrame
    profiles: dict[str, Floats] = field(repr=False)

    @classmethod
    def load(cls, folder: Path = DATA) -> "Grid":
        """Read the committed tables. Feeders may be absent while their ratings are computed."""
        tables = {
            name: pl.read_csv(folder / f"{name}.csv")
            for name in ("nodes", "lines", "transformers", "meters")
        }
        feeders = folder / "feeders.csv"
        profiles = pl.read_parquet(folder / "profiles.parquet")
        return cls(
            **tables,
            feeders=pl.read_csv(feeders) if feeders.exists() else pl.DataFrame(),
            profiles={
                name: profiles[name].to_numpy().astype(np.float64) * PROFILE_SCALE
                for name in profiles.columns
            },
        )

    def read_profile(self, name: str) -> Floats:
        """Return one year of a profile type over the rated power; zeros if it has none."""
        any_year = next(iter(self.profiles.values()))
        return self.profiles.get(name, np.zeros_like(any_year))

    def list_places(self) -> pl.DataFrame:
        """Return one row per measured place: watched node, sensor, position, nominal voltage.

        The places are the head of each feeder at the 20 kV busbar (on a map: where its first cable
        ends), the low-voltage side of each transformer, and the busbar itself (frequency).
        """
        busbar = self.nodes.filter(pl.col("feeder_id").is_null()).row(0, named=True)
        at_busbar = {
            "latitude": busbar["latitude"],
            "longitude": busbar["longitude"],
            "nominal_voltage_v": busbar["nominal_voltage_v"],
        }
        top = {"node_id": SUBSTATION, "node_kind": "substation", "name": busbar["name"]}
        heads = self.lines.filter(pl.col("is_head_of").is_not_null()).select(
            node_id="is_head_of",
            node_kind=pl.lit("feeder"),
            name="name",
            node="to_node",
            nominal_voltage_v=pl.lit(busbar["nominal_voltage_v"]),
        )
        low_sides = self.transformers.select(
            node_id="transformer_id", node_kind=pl.lit("transformer"), name="name", node="to_node"
        ).join(self.nodes.select("node", "nominal_voltage_v"), on="node")
        positions = self.nodes.select("node", "latitude", "longitude")
        rows = pl.concat([heads, low_sides]).join(positions, on="node").drop("node")
        return (
            pl.concat([pl.DataFrame([{**top, **at_busbar}]), rows], how="diagonal")
            .with_columns(sensor_id=pl.lit("S-") + pl.col("node_id"))
            .sort("node_id")
        )

    def build_topology(self) -> dy.DataFrame[GridTopology]:
        """Return the tree substation > feeder > transformer > meter, with the sensors on it."""
        places = self.list_places()
        transformer_kw = pl.col("rated_va") / 1e3 * TRANSFORMER_POWER_FACTOR
        ratings = pl.concat(
            [
                self.feeders.select(node_id="feeder_id", rating_kw=pl.col("rating_kw").cast(float)),
                self.transformers.select(node_id="transformer_id", rating_kw=transformer_kw),
            ]
        )
        parents = pl.concat(
            [
                self.feeders.select(node_id="feeder_id", parent_id=pl.lit(SUBSTATION)),
                self.transformers.select(node_id="transformer_id", parent_id="feeder_id"),
            ]
        )
        inner = places.drop("sensor_id").join(parents, on="node_id", how="left")
        inner = inner.join(ratings, on="node_id", how="left")
        sensors = places.select(
            "latitude",
            "longitude",
            "nominal_voltage_v",
            node_id="sensor_id",
            node_kind=pl.lit("sensor"),
            parent_id="node_id",
            name=pl.lit("Sensor at ") + pl.col("name"),
        )
        meters = self.meters.join(self.nodes.select("node", "nominal_voltage_v"), on="node").select(
            "latitude",
            "longitude",
            "nominal_voltage_v",
            "name",
            "customer_id",
            "customer_kind",
            node_id="meter_id",
            node_kind=pl.lit("meter"),
            parent_id="transformer_id",
        )
        tree = pl.concat([inner, meters, sensors], how="diagonal")
        return GridTopology.validate(tree.select(GridTopology.column_names()), cast=True)


@dataclass(frozen=True)
class Flow:
    """What the sensors' places carry.

    Rows follow `Grid.list_places` without the substation; arrays are float64 (n_places, n_steps).

    Attributes:
        node_ids: The watched node of each row.
        voltage_v: Voltage phase to neutral, V.
        current_a: Current of one phase, A.
        power_kw: Active power towards the customers, kW.
        reactive_kvar: Reactive power towards the customers, kvar.
    """

    node_ids: tuple[str, ...]
    voltage_v: Floats
    current_a: Floats
    power_kw: Floats
    reactive_kvar: Floats


class PowerFlow:
    """Balanced three-phase power flow of the demo grid, solved by power-grid-model."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._busbar = int(grid.nodes.filter(pl.col("feeder_id").is_null())["node"][0])
        self._loaded = np.unique(grid.meters["node"].to_numpy())
        nodes = len(grid.nodes)
        self._first_line = nodes
        self._first_transformer = self._first_line + len(grid.lines)
        self._first_load = self._first_transformer + len(grid.transformers)
        self._source = self._first_load + len(self._loaded)
        self._model = PowerGridModel(self._build_components(), system_frequency=50.0)
        kind = np.where(grid.meters["customer_kind"].to_numpy() == "pv", -1.0, 1.0)
        self._to_nodes = (self._loaded[:, None] == grid.meters["node"].to_numpy()[None, :]) * kind[
            None, :
        ]

    def solve(self, active_kw: Floats, reactive_kvar: Floats, *, busbar_pu: Floats) -> Flow:
        """Return the flow for every step of the meters' powers, each (n_meters, n_steps).

        `busbar_pu` is the voltage of the 20 kV busbar over its nominal one, (n_steps,).
        """
        steps = active_kw.shape[1]
        loads = initialize_array(
            DatasetType.update, ComponentType.sym_load, (steps, len(self._loaded))
        )
        loads["id"] = self._first_load + np.arange(len(self._loaded))
        loads["p_specified"] = (self._to_nodes @ active_kw).T * 1e3
        loads["q_specified"] = (self._to_nodes @ reactive_kvar).T * 1e3
        source = initialize_array(DatasetType.update, ComponentType.source, (steps, 1))
        source["id"] = self._source
        source["u_ref"] = busbar_pu[:, None]
        result = self._model.calculate_power_flow(
            update_data={ComponentType.sym_load: loads, ComponentType.source: source},
            output_component_types={
                ComponentType.node: ["id", "u"],
                ComponentType.line: ["id", "p_from", "q_from", "i_from"],
                ComponentType.transformer: ["id", "p_to", "q_to", "i_to"],
            },
        )
        return self._pick_places(result)

    def _pick_places(self, result: Any) -> Flow:
        """Return the flow at the measured places out of the solved components."""
        heads = self._grid.lines.with_row_index("row").filter(pl.col("is_head_of").is_not_null())
        transformers = self._grid.transformers.with_row_index("row")
        voltage = result[ComponentType.node]["u"] / np.sqrt(3)
        line, transformer = result[ComponentType.line], result[ComponentType.transformer]
        at_place: dict[str, tuple[Floats, Floats, Floats, Floats]] = {}
        for row, feeder_id in heads.select("row", "is_head_of").iter_rows():
            at_place[feeder_id] = (
                voltage[:, self._busbar],
                line["i_from"][:, row],
                line["p_from"][:, row] / 1e3,
                line["q_from"][:, row] / 1e3,
            )
        for row, name, node in transformers.select("row", "transformer_id", "to_node").iter_rows():
            at_place[name] = (
                voltage[:, node],
                transformer["i_to"][:, row],
                -transformer["p_to"][:, row] / 1e3,
                -transformer["q_to"][:, row] / 1e3,
            )
        names = tuple(sorted(at_place))
        return Flow(
            names, *(np.array([at_place[name][part] for name in names]) for part in range(4))
        )

    def _build_components(self) -> dict[ComponentType, np.ndarray]:
        """Return the grid as power-grid-model's input arrays, SI units."""
        grid = self._grid
        node = initialize_array(DatasetType.input, ComponentType.node, len(grid.nodes))
        node["id"] = grid.nodes["node"].to_numpy()
        node["u_rated"] = grid.nodes["nominal_voltage_v"].to_numpy()
        load = initialize_array(DatasetType.input, ComponentType.sym_load, len(self._loaded))
        load["id"] = self._first_load + np.arange(len(self._loaded))
        load["node"], load["status"] = self._loaded, 1
        load["type"] = LoadGenType.const_power
        load["p_specified"] = load["q_specified"] = 0.0
        source = initialize_array(DatasetType.input, ComponentType.source, 1)
        source["id"], source["node"], source["status"] = self._source, self._busbar, 1
        source["u_ref"], source["sk"], source["rx_ratio"] = 1.0, SHORT_CIRCUIT_VA, 0.1
        return {
            ComponentType.node: node,
            ComponentType.line: self._build_lines(),
            ComponentType.transformer: self._build_transformers(),
            ComponentType.sym_load: load,
            ComponentType.source: source,
        }

    def _build_lines(self) -> np.ndarray:
        """Return the lines as an input array."""
        grid = self._grid
        line = initialize_array(DatasetType.input, ComponentType.line, len(grid.lines))
        line["id"] = self._first_line + np.arange(len(grid.lines))
        line["from_node"] = grid.lines["from_node"].to_numpy()
        line["to_node"] = grid.lines["to_node"].to_numpy()
        line["from_status"] = line["to_status"] = 1
        line["r1"], line["x1"] = grid.lines["r_ohm"].to_numpy(), grid.lines["x_ohm"].to_numpy()
        line["c1"] = line["tan1"] = 0.0
        line["i_n"] = grid.lines["limit_a"].to_numpy()
        return line

    def _build_transformers(self) -> np.ndarray:
        """Return the transformers as an input array."""
        grid = self._grid
        units = grid.transformers
        trafo = initialize_array(DatasetType.input, ComponentType.transformer, len(units))
        trafo["id"] = self._first_transformer + np.arange(len(units))
        trafo["from_node"] = units["from_node"].to_numpy()
        trafo["to_node"] = units["to_node"].to_numpy()
        trafo["from_status"] = trafo["to_status"] = 1
        rated = dict(grid.nodes.select("node", "nominal_voltage_v").iter_rows())
        trafo["u1"] = [rated[number] for number in units["from_node"]]
        trafo["u2"] = [rated[number] for number in units["to_node"]]
        trafo["sn"], trafo["uk"] = units["rated_va"], units["short_circuit_voltage"]
        trafo["pk"], trafo["i0"] = units["copper_loss_w"], units["no_load_current"]
        trafo["p0"] = units["iron_loss_w"]
        trafo["winding_from"], trafo["winding_to"] = WindingType.delta, WindingType.wye_n
        trafo["clock"] = 5
        trafo["tap_side"], trafo["tap_nom"] = 0, 0
        trafo["tap_min"], trafo["tap_max"] = -2, 2
        trafo["tap_pos"], trafo["tap_size"] = units["tap_position"], units["tap_size_v"]
        return trafo
