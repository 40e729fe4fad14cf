"""Rebuilds `demo/data` from the SimBench benchmark: which part of its grid, how it is reshaped."""

import json
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer

from demo.grid import DATA, PROFILE_SCALE, Grid
from demo.profiles import generate_normal_power
from smartgrid_core.time import Window

SIMBENCH_CODE = "1-MVLV-rural-all-2-no_sw"
"""The rural 20 kV grid with its low-voltage grids, scenario 2: it has heat pumps and chargers."""

BRANCHES = (
    ("LV1.101", "LV1.101 Bus 2"),
    ("LV3.101", "LV3.101 Bus 56"),
    ("LV3.102", "LV3.102 Bus 115"),
    ("LV4.101", "LV4.101 Bus 36"),
    ("LV4.102", "LV4.102 Bus 9"),
    ("LV4.110", "LV4.110 Bus 1"),
    ("LV3.105", "LV3.105 Bus 61"),
)
"""Low-voltage grid and one bus of the branch that is kept: whole grids have up to 150 customers."""

CENTRE = (41.33, 19.82)
"""Latitude and longitude where the substation is put: Tirana."""

VARIATION_SEED = 20160101
"""Draws each meter's own level, shifts and noise; separate from the seed of a demo run."""

RATING_QUANTILE = 0.999
RATING_MARGIN = 1.05
"""A feeder's rating lies this far over the hour that 9 hours of a normal year exceed."""

RATING_YEAR = (date(2025, 1, 1), date(2025, 12, 31))
RATING_SEED = 7

KIND_OF_PROFILE = {
    "H0": "household",
    "G": "commercial",
    "L": "agricultural",
    "Air": "heat_pump",
    "Soil": "heat_pump",
    "HLS": "ev",
    "APLS": "ev",
    "PV": "pv",
}

ADDED_KINDS = frozenset({"pv", "ev", "heat_pump"})
"""What a customer has besides the supply of the building, on a meter of its own."""

LEVEL_SIGMA = {"household": 0.2, "commercial": 0.15, "agricultural": 0.15, "pv": 0.08}
SHIFT_MINUTES = {"household": 40, "commercial": 20, "agricultural": 30, "ev": 45, "heat_pump": 30}
SHIFT_WEEKS = {"household": 2, "commercial": 1, "agricultural": 1, "ev": 3}
STANDBY_W = {"ev": (3.0, 8.0), "heat_pump": (10.0, 40.0), "agricultural": (20.0, 60.0)}
NOISE_SIGMA = {"household": 0.3, "commercial": 0.1, "agricultural": 0.15, "ev": 0.05, "pv": 0.04}
"""How far a meter strays from its profile type; what is not named keeps level .1, shift 15 min,
no weeks, noise .12. Standby keeps the counters of what is idle for weeks moving, as real
electronics do. Weather-driven kinds keep their week so that cold and sun stay in common."""


@dataclass(frozen=True)
class Excerpt:
    """The chosen part of the SimBench net: its bus indices and what hangs on them.

    Attributes:
        net: The whole SimBench net, as pandapower reads it.
        feeder_of_bus: Feeder of each kept bus; empty for the busbar.
        transformer_of_bus: Transformer of each kept low-voltage bus.
    """

    net: Any
    feeder_of_bus: dict[int, str]
    transformer_of_bus: dict[int, str]
    transformers: list[tuple[str, str, int, set[int]]]
    """(transformer_id, feeder_id, index in SimBench, buses of the kept branch)."""


def classify_profile(profile: str) -> str:
    """Return the customer kind of a SimBench profile name.

    >>> classify_profile("H0-A"), classify_profile("Soil_Alternative_1")
    ('household', 'heat_pump')
    """
    stem = profile.split("-", maxsplit=1)[0].split("_", maxsplit=1)[0]
    return KIND_OF_PROFILE.get(stem) or KIND_OF_PROFILE[stem.rstrip("0123456789")]


def cut_excerpt(net: Any) -> Excerpt:
    """Return the chosen low-voltage branches and the 20 kV lines that lead to them."""
    import networkx as nx
    from pandapower.topology import create_nxgraph

    graph = nx.Graph(create_nxgraph(net, respect_switches=True, include_trafos=False))
    busbar = int(net.trafo.lv_bus[net.trafo.vn_hv_kv > 50].iloc[0])
    subnet = net.bus.subnet
    found: list[tuple[int, int, set[int], list[int]]] = []
    for grid_name, bus_name in BRANCHES:
        inside = subnet.loc[net.trafo.lv_bus].to_numpy() == grid_name
        index = int(net.trafo.index[inside][0])
        low, high = int(net.trafo.lv_bus[index]), int(net.trafo.hv_bus[index])
        pruned = graph.copy()
        pruned.remove_node(low)
        seed_bus = int(net.bus.index[net.bus.name == bus_name][0])
        branch = {int(bus) for bus in nx.node_connected_component(pruned, seed_bus)} | {low}
        path = [int(bus) for bus in nx.shortest_path(graph, busbar, high)]
        found.append((index, path[1], branch, path))
    heads = sorted({head for _, head, _, _ in found})
    excerpt = Excerpt(net, {busbar: ""}, {}, [])
    for index, head, branch, path in found:
        feeder_id = f"F{heads.index(head) + 1}"
        siblings = sum(feeder_id == known for _, known, _, _ in excerpt.transformers)
        transformer_id = f"{feeder_id}-T{siblings + 1}"
        excerpt.transformers.append((transformer_id, feeder_id, index, branch))
        excerpt.feeder_of_bus.update(dict.fromkeys([*path[1:], *branch], feeder_id))
        excerpt.transformer_of_bus.update(dict.fromkeys(branch, transformer_id))
    return excerpt


def place_point(geo: str, *, origin: tuple[float, float]) -> tuple[float, float]:
    """Return latitude and longitude of a SimBench point, moved so that `origin` lies at CENTRE.

    `geo` is a GeoJSON point, `origin` its (longitude, latitude); distances in metres are kept.
    """
    longitude, latitude = json.loads(geo)["coordinates"]
    shrink = math.cos(math.radians(origin[1])) / math.cos(math.radians(CENTRE[0]))
    return (
        round(CENTRE[0] + latitude - origin[1], 6),
        round(CENTRE[1] + (longitude - origin[0]) * shrink, 6),
    )


def build_grid_tables(excerpt: Excerpt) -> dict[str, pl.DataFrame]:
    """Return nodes, lines and transformers of the excerpt, in SI units, ready for a power flow."""
    net, buses = excerpt.net, sorted(excerpt.feeder_of_bus)
    number = {bus: position for position, bus in enumerate(buses)}
    busbar = next(bus for bus, feeder in excerpt.feeder_of_bus.items() if not feeder)
    origin = tuple(json.loads(net.bus.geo[busbar])["coordinates"])
    places = [place_point(net.bus.geo[bus], origin=(origin[0], origin[1])) for bus in buses]
    nodes = pl.DataFrame(
        {
            "node": [number[bus] for bus in buses],
            "name": [net.bus.name[bus] for bus in buses],
            "nominal_voltage_v": [round(net.bus.vn_kv[bus] * 1e3, 3) for bus in buses],
            "feeder_id": [excerpt.feeder_of_bus[bus] or None for bus in buses],
            "transformer_id": [excerpt.transformer_of_bus.get(bus) for bus in buses],
            "latitude": [latitude for latitude, _ in places],
            "longitude": [longitude for _, longitude in places],
        }
    )
    inside = net.line[net.line.from_bus.isin(buses) & net.line.to_bus.isin(buses)]
    lines = [
        {
            "name": line.name_,
            "from_node": number[line.from_bus],
            "to_node": number[line.to_bus],
            "r_ohm": round(line.r_ohm_per_km * line.length_km / line.parallel, 9),
            "x_ohm": round(line.x_ohm_per_km * line.length_km / line.parallel, 9),
            "limit_a": round(line.max_i_ka * 1e3 * line.parallel, 3),
            "is_head_of": excerpt.feeder_of_bus[line.to_bus] if line.from_bus == busbar else None,
        }
        for line in inside.rename(columns={"name": "name_"}).itertuples()
    ]
    return {
        "nodes": nodes,
        "lines": pl.DataFrame(lines, infer_schema_length=None),
        "transformers": _build_transformers(excerpt, number=number),
    }


def _build_transformers(excerpt: Excerpt, *, number: dict[int, int]) -> pl.DataFrame:
    """Return the transformers of the excerpt, in SI units; ``number``: the node of each bus."""
    net = excerpt.net
    transformers = []
    for transformer_id, feeder_id, index, _ in excerpt.transformers:
        trafo = net.trafo.loc[index]
        rated_va = trafo.sn_mva * 1e6
        transformers.append(
            {
                "transformer_id": transformer_id,
                "feeder_id": feeder_id,
                "name": trafo["name"],
                "from_node": number[trafo.hv_bus],
                "to_node": number[trafo.lv_bus],
                "rated_va": round(rated_va),
                "short_circuit_voltage": round(trafo.vk_percent / 100, 9),
                "copper_loss_w": round(trafo.vkr_percent / 100 * rated_va, 3),
                "no_load_current": round(trafo.i0_percent / 100, 9),
                "iron_loss_w": round(trafo.pfe_kw * 1e3, 3),
                "tap_position": int(trafo.tap_pos),
                "tap_size_v": round(trafo.tap_step_percent / 100 * trafo.vn_hv_kv * 1e3, 3),
            }
        )
    return pl.DataFrame(transformers)


def build_meters(excerpt: Excerpt, *, nodes: pl.DataFrame) -> pl.DataFrame:
    """Return one row per meter: its customer, its profile type, and its own seeded variation.

    A heat pump, charger or plant belongs to a customer at its bus if there is one.
    """
    net, rng = excerpt.net, np.random.default_rng(VARIATION_SEED)
    node_of_name = {row["name"]: row for row in nodes.iter_rows(named=True)}
    connected = [
        (str(row.name_), int(row.bus), row.profile, row.p_mw * 1e3, row.q_mvar * 1e3)
        for table in (net.load, net.sgen)
        for row in table.rename(columns={"name": "name_"}).itertuples()
        if int(row.bus) in excerpt.transformer_of_bus
    ]
    connected.sort(key=lambda device: (excerpt.transformer_of_bus[device[1]], device[1]))
    connected.sort(key=lambda device: classify_profile(device[2]) in ADDED_KINDS)
    customers: dict[int, list[str]] = {}
    added: dict[int, int] = {}
    rows: list[dict[str, object]] = []
    for name, bus, profile, rated_kw, rated_kvar in connected:
        kind, node = classify_profile(profile), node_of_name[net.bus.name[bus]]
        here = customers.setdefault(bus, [])
        if kind in ADDED_KINDS and here:
            customer = here[added.get(bus, 0) % len(here)]
            added[bus] = added.get(bus, 0) + 1
        else:
            customer = f"C{sum(map(len, customers.values())) + 1:04d}"
            here.append(customer)
        beside = rng.uniform(-0.00012, 0.00012, size=2)
        minutes, weeks = SHIFT_MINUTES.get(kind, 15), SHIFT_WEEKS.get(kind, 0)
        noise = NOISE_SIGMA.get(kind, 0.12)
        rows.append(
            {
                "customer_id": customer,
                "customer_kind": kind,
                "node": node["node"],
                "transformer_id": node["transformer_id"],
                "feeder_id": node["feeder_id"],
                "name": name,
                "profile": profile,
                "rated_kw": round(rated_kw, 4),
                "rated_kvar": round(rated_kvar, 4),
                "level": round(float(np.exp(rng.normal(0, LEVEL_SIGMA.get(kind, 0.1)))), 4),
                "shift_minutes": int(rng.integers(-minutes, minutes, endpoint=True)),
                "shift_weeks": int(rng.integers(-weeks, weeks, endpoint=True)),
                "noise_sigma": round(noise * float(rng.uniform(0.7, 1.3)), 4),
                "standby_w": round(float(rng.uniform(*STANDBY_W.get(kind, (0.0, 0.0)))), 1),
                "latitude": round(node["latitude"] + beside[0], 6),
                "longitude": round(node["longitude"] + beside[1], 6),
            }
        )
    table = pl.DataFrame(rows).sort("transformer_id", "node", "name")
    return table.insert_column(
        0, pl.Series("meter_id", [f"M{number:04d}" for number in range(1, len(table) + 1)])
    )


def read_profiles(net: Any, *, names: list[str]) -> pl.DataFrame:
    """Return the year of each profile type: a row per quarter-hour UTC of 2016, int16 of 1/10,000.

    `<name>_p` is active power over the rated one, `<name>_q` reactive over the rated reactive
    power; `_q` is left out where it is all zero.
    """
    loads, plants = net.profiles["load"], net.profiles["renewables"]
    columns: dict[str, np.ndarray] = {}
    for name in names:
        if name in plants:
            columns[f"{name}_p"] = plants[name].to_numpy()
            continue
        columns[f"{name}_p"] = loads[f"{name}_pload"].to_numpy()
        reactive = loads[f"{name}_qload"].to_numpy()
        if reactive.any():
            columns[f"{name}_q"] = reactive
    return pl.DataFrame(
        {
            column: np.rint(values / PROFILE_SCALE).astype(np.int16)
            for column, values in columns.items()
        }
    )


def compute_feeder_ratings(grid: Grid) -> pl.DataFrame:
    """Return a rating per feeder in kW, from the hours of a normal year in either direction."""
    sign = np.where(grid.meters["customer_kind"] == "pv", -1.0, 1.0)
    feeders = grid.meters["feeder_id"].to_numpy()
    names = sorted(set(feeders))
    member = np.array([feeders == name for name in names]) * sign
    months: list[np.ndarray] = []
    year = Window.of_days(RATING_YEAR[0], RATING_YEAR[1])
    for _, active_kw, _ in generate_normal_power(grid, window=year, seed=RATING_SEED):
        months.append((member @ active_kw).reshape(len(names), -1, 4).mean(axis=2))
    high = np.quantile(np.abs(np.concatenate(months, axis=1)), RATING_QUANTILE, axis=1)
    return pl.DataFrame({"feeder_id": names, "rating_kw": np.ceil(high * RATING_MARGIN / 5) * 5})


def generate(
    folder: Annotated[Path, typer.Option(help="Where the tables are written.")] = DATA,
) -> None:
    """Rebuild the demo grid's committed tables from the installed simbench package."""
    import simbench

    net = simbench.get_simbench_net(SIMBENCH_CODE)
    folder.mkdir(parents=True, exist_ok=True)
    excerpt = cut_excerpt(net)
    tables = build_grid_tables(excerpt)
    meters = build_meters(excerpt, nodes=tables["nodes"])
    for name, table in {**tables, "meters": meters}.items():
        table.write_csv(folder / f"{name}.csv")
    profiles = read_profiles(net, names=sorted(meters["profile"].unique()))
    profiles.write_parquet(folder / "profiles.parquet", compression="zstd", compression_level=19)
    ratings = compute_feeder_ratings(Grid.load(folder))
    ratings.write_csv(folder / "feeders.csv")
    size = sum(file.stat().st_size for file in folder.iterdir())
    typer.echo(
        f"{len(ratings)} feeders, {len(tables['transformers'])} transformers, "
        f"{len(meters)} meters, {profiles.width} profile columns: {size / 1e6:.1f} MB in {folder}"
    )


if __name__ == "__main__":
    typer.run(generate)
