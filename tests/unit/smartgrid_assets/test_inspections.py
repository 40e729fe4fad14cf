"""Assets that look for theft: an honest shell around balance, score and list."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from smartgrid_assets.mining.inspection_checks import planted_theft_found
from smartgrid_assets.mining.inspections import TOO_LITTLE, energy_balance, head_energy, inspections
from smartgrid_core.contracts.aggregates import MeterConsumption, SensorAggregates
from smartgrid_core.contracts.grid import GridTopology, PlantedFaults
from smartgrid_core.contracts.inspections import EnergyBalance, HeadEnergy, Inspections
from smartgrid_core.topology import place_meters
from smartgrid_ml.mining.theft import inspect_grid as inspecting
from smartgrid_ml.mining.theft.day_model import TheftSettings
from smartgrid_ml.mining.theft.energy_balance import compute_head_energy, select_watched_nodes

FIRST = datetime(2026, 1, 17, 23, tzinfo=UTC)
"""Midnight in Tirane; the fake clock stands at noon of 3 March."""
DAYS, THIEF, SINCE = 44, "M03", 22
HOURS = [FIRST + timedelta(hours=n) for n in range(24 * DAYS)]


class Registry:
    """Keeps what was written down."""

    def __init__(self) -> None:
        self.logged: dict[str, object] = {}
        self.status = ""

    def log_training(self, experiment: str, **what: object) -> str:
        self.logged = {"experiment": experiment, **what}
        return "run-1"

    def finish(self, run_id: str, status: str) -> None:
        self.status = status


def homes_kwh(count: int) -> np.ndarray:
    """True energy by home and local hour, (count, hours)."""
    rng = np.random.default_rng(3)
    hour = np.arange(24 * DAYS) % 24
    shape = 0.2 + np.exp(-((hour[None] - rng.uniform(17, 21, (count, 1))) ** 2) / 6)
    noise = rng.lognormal(0, 0.2, (count, len(hour)))
    return np.round(rng.lognormal(-0.3, 0.3, (count, 1)) * shape * noise, 3)


def filled(store, *, count: int = 24) -> None:
    """One transformer with a sensor; one of its homes hides most of its nights from a day on."""
    true = homes_kwh(count)
    reported = true.copy()
    hour = np.arange(24 * DAYS)
    stolen = (hour >= 24 * SINCE) & np.isin(hour % 24, [22, 23, 0, 1, 2, 3, 4])
    reported[int(THIEF[1:]), stolen] = np.round(0.2 * reported[int(THIEF[1:]), stolen], 3)
    meters = [f"M{number:02}" for number in range(count)]
    at = pl.DataFrame({"interval_start": HOURS}).cast(pl.Datetime("us", "UTC"))
    counted = [
        at.with_columns(meter_id=pl.lit(meter), energy_kwh=pl.Series(kwh))
        for meter, kwh in zip(meters, reported, strict=True)
    ]
    store.tables[MeterConsumption] = MeterConsumption.validate(
        pl.concat(counted)
        .with_columns(interval_minutes=60, is_estimated=False, quality=pl.lit("measured"))
        .select(MeterConsumption.column_names()),
        cast=True,
    )
    head = true.sum(axis=0)
    head = head + 0.05 + 0.001 * head**2
    store.tables[SensorAggregates] = SensorAggregates.validate(
        pl.DataFrame(
            {
                "sensor_id": "S-T1",
                "sensor_type": "power",
                "hour_bucket": HOURS,
                "avg_value": head,
                "min_value": head - 0.1,
                "max_value": head + 0.1,
                "stddev_value": 0.05,
                "count": 4,
                "expected_count": 4,
            }
        ),
        cast=True,
    )
    nodes = [("SUB", "substation", None), ("F1", "feeder", "SUB"), ("T1", "transformer", "F1")]
    nodes += [("S-T1", "sensor", "T1"), *((meter, "meter", "T1") for meter in meters)]
    tree = pl.DataFrame(nodes, schema=["node_id", "node_kind", "parent_id"], orient="row")
    is_meter = pl.col("node_kind") == "meter"
    store.tables[GridTopology] = GridTopology.validate(
        tree.with_columns(
            name="node_id",
            latitude=41.3,
            longitude=19.8,
            nominal_voltage_v=400.0,
            rating_kw=None,
            customer_id=None,
            customer_kind=pl.when(is_meter).then(pl.lit("household")),
        ),
        cast=True,
    )
    store.tables[PlantedFaults] = PlantedFaults.validate(
        pl.DataFrame(
            {
                "fault_id": ["fault-1"],
                "kind": "theft",
                "subject_kind": "meter",
                "subject_id": THIEF,
                "start_time": HOURS[24 * SINCE],
                "end_time": HOURS[-1] + timedelta(hours=1),
                "magnitude": 0.8,
                "description": "",
            }
        ),
        cast=True,
    )


def balanced(store, handles) -> dg.MaterializeResult:
    """Both balances over all days that the lake holds."""
    topology = store.scan(GridTopology)
    hours = compute_head_energy(
        store.scan(SensorAggregates),
        store.scan(MeterConsumption),
        nodes=select_watched_nodes(topology),
        places=place_meters(topology),
    )
    store.replace(HeadEnergy, hours)
    return energy_balance(lake=store, warehouse=store, clock=handles["clock"])


def test_a_day_of_head_energy_holds_its_hours(store, handles):
    filled(store, count=4)
    with dg.build_asset_context(partition_key="2026-02-01") as context:
        result = head_energy(context, lake=store)
    rows = store.read(HeadEnergy)
    assert result.metadata == {"dagster/row_count": 24, "nodes": 1}
    assert rows["hour_start"].dt.date().unique().to_list() == [date(2026, 2, 1)]
    assert rows["meters"].to_list() == [4] * 24


@pytest.mark.slow
def test_a_planted_thief_is_first_on_the_list_and_written_down(store, handles, monkeypatch):
    monkeypatch.setattr(
        inspecting, "LIST_SETTINGS", TheftSettings(trees=40, learning_rate=0.2, leaves=15)
    )
    filled(store)
    balance = balanced(store, handles)
    registry = Registry()
    result = inspections(**handles, model_registry=registry)
    listed = store.read(Inspections).sort("rank")

    assert balance.metadata["days_beyond_their_band"] >= DAYS - SINCE - 1
    assert store.read(EnergyBalance).filter("is_beyond")["day"].min() >= HOURS[24 * SINCE].date()
    assert listed.row(0, named=True)["subject_id"] == THIEF
    assert listed.row(0, named=True)["pattern"] == "low_at_night"
    assert result.metadata["theft"] == 1
    assert THIEF in result.metadata["list"].value
    assert result.metadata["plot"].value.startswith("![balance of T1](data:image/png;base64,")
    assert (registry.logged["experiment"], registry.status) == ("theft_score", "FINISHED")
    assert registry.logged["metrics"]["day_auc"] > 0.8
    check = planted_theft_found(
        lake=store, warehouse=store, settings=handles["settings"], clock=handles["clock"]
    )
    assert check.passed
    assert check.metadata["ranks"].value == [f"{THIEF}: 1"]
    store.tables[Inspections] = listed.clear()
    assert not planted_theft_found(
        lake=store, warehouse=store, settings=handles["settings"], clock=handles["clock"]
    ).passed


def test_an_empty_lake_is_said(store, handles):
    result = inspections(**handles, model_registry=Registry())
    assert result.metadata == {"outcome": "no whole day has energy yet"}
    outcome = energy_balance(lake=store, warehouse=store, clock=handles["clock"]).metadata
    assert outcome == {"outcome": "no whole day has a balance yet"}
    assert planted_theft_found(
        lake=store, warehouse=store, settings=handles["settings"], clock=handles["clock"]
    ).passed


@pytest.mark.parametrize("count", [1, 4])
def test_few_meters_are_not_judged_but_balanced(store, handles, count):
    filled(store, count=max(count, 4))
    kept = [f"M{number:02}" for number in range(count)]
    store.tables[MeterConsumption] = store.tables[MeterConsumption].filter(
        pl.col("meter_id").is_in(kept)
    )
    balanced(store, handles)
    result = inspections(**handles, model_registry=Registry())
    assert result.metadata["outcome"] == TOO_LITTLE
    assert set(store.read(Inspections)["suspicion"]) <= {"unexplained_loss"}
