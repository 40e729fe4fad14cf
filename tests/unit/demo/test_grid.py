import numpy as np
import polars as pl
import pytest

from demo.grid import DATA, Grid

FEED_IN = pl.col("customer_kind") == "pv"


def test_the_committed_data_stay_under_ten_megabytes_and_carry_their_licence():
    files = [file for file in DATA.rglob("*") if file.is_file()]

    assert sum(file.stat().st_size for file in files) < 10e6
    assert "Open Database License" in (DATA / "LICENSE.md").read_text()


def test_every_node_hangs_on_the_one_substation(grid: Grid):
    tree = grid.build_topology()
    kinds = dict(tree.select("node_id", "node_kind").iter_rows())
    above = {
        (kind, kinds.get(parent))
        for kind, parent in tree.select("node_kind", "parent_id").iter_rows()
    }

    assert above == {
        ("substation", None),
        ("feeder", "substation"),
        ("transformer", "feeder"),
        ("meter", "transformer"),
        ("sensor", "substation"),
        ("sensor", "feeder"),
        ("sensor", "transformer"),
    }
    assert dict(tree["node_kind"].value_counts().iter_rows()) == {
        "substation": 1,
        "feeder": 5,
        "transformer": 7,
        "meter": 145,
        "sensor": 13,
    }
    assert set(tree["customer_kind"].drop_nulls()) == {
        "household",
        "commercial",
        "agricultural",
        "pv",
        "ev",
        "heat_pump",
    }
    rated = tree.filter(pl.col("node_kind").is_in(["feeder", "transformer"]))
    assert rated["rating_kw"].null_count() == 0
    assert tree["latitude"].is_between(41.2, 41.5).all()
    assert tree["longitude"].is_between(19.7, 19.95).all()


def test_voltage_current_and_power_agree(sound):
    flow = sound.flow
    apparent_kva = 3 * flow.voltage_v * flow.current_a / 1e3

    assert apparent_kva == pytest.approx(np.hypot(flow.power_kw, flow.reactive_kvar), rel=1e-6)


def test_low_voltage_stays_in_its_band(sound):
    low = sound.flow.voltage_v[["-T" in node for node in sound.flow.node_ids]]

    assert low.min() > 207
    assert low.max() < 253


def test_a_feeder_carries_its_meters_and_the_losses(grid: Grid, sound):
    sign = np.where(grid.meters["customer_kind"].to_numpy() == "pv", -1.0, 1.0)[:, None]
    feeder_of_meter = grid.meters["feeder_id"].to_numpy()
    for feeder_id, rating_kw in grid.feeders.iter_rows():
        head = sound.flow.power_kw[sound.flow.node_ids.index(feeder_id)]
        metered = (sound.active_kw * sign)[feeder_of_meter == feeder_id].sum(axis=0)
        units = grid.transformers.filter(pl.col("feeder_id") == feeder_id)
        iron_kw = units["iron_loss_w"].sum() / 1e3

        assert (head - metered).min() > 0.9 * iron_kw
        assert (head - metered).max() < 1.2 * iron_kw + 0.05 * rating_kw


def test_registers_without_a_fault_count_exactly_what_was_drawn(sound):
    drawn = np.round(np.diff(sound.registers_kwh, axis=1), 3)

    assert (drawn >= 0).all()
    assert drawn == pytest.approx(sound.active_kw[:, :-1] * 0.25, abs=0.0011)
    assert (sound.registers_kwh[:, 0] == 1000.0).all()
