"""The aggregates' shells, over a store in memory."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from smartgrid_assets.aggregates.assets import feeder_load, meter_consumption
from smartgrid_core.contracts.aggregates import FeederLoad, MeterConsumption
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.readings import MeterReadings

DAY = "2026-03-01"
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)

ONE_METER = pl.DataFrame(
    {
        "node_id": ["S1", "F1", "T1", "M1"],
        "node_kind": ["substation", "feeder", "transformer", "meter"],
        "parent_id": [None, "S1", "F1", "T1"],
        "name": ["Tirana", "North", "T1", "M1"],
        "latitude": [41.3] * 4,
        "longitude": [19.8] * 4,
        "nominal_voltage_v": [None] * 4,
        "rating_kw": [None, 100.0, 50.0, None],
        "customer_id": [None, None, None, "C1"],
        "customer_kind": [None, None, None, "household"],
    }
)


def registers(*, start_kwh: float, step_kwh: float) -> pl.DataFrame:
    """A healthy meter's quarter-hour register readings over one day, the next midnight left out."""
    steps = range(96)
    return pl.DataFrame(
        {
            "event_id": [f"e{n}" for n in steps],
            "meter_id": "M1",
            "customer_id": "C1",
            "reading": [start_kwh + n * step_kwh for n in steps],
            "unit": "kWh",
            "reading_kind": "register",
            "event_time": [MIDNIGHT + n * timedelta(minutes=15) for n in steps],
            "ingested_at": MIDNIGHT + timedelta(days=1),
        }
    )


def test_a_day_of_even_registers_becomes_an_even_feeder_load(store, handles):
    store.upsert(MeterReadings, registers(start_kwh=1000.0, step_kwh=0.05))
    store.upsert(GridTopology, ONE_METER)

    outcome = dg.materialize(
        [meter_consumption, feeder_load], partition_key=DAY, resources=handles, selection="*"
    )

    assert outcome.success
    energy = store.read(MeterConsumption)
    assert energy.height == 95, "the last quarter needs the next midnight's reading"
    assert energy["quality"].unique().to_list() == ["measured"]
    first = store.read(FeederLoad).head(1).to_dicts()
    assert first == [
        {
            "feeder_id": "F1",
            "hour_start": MIDNIGHT,
            "load_kw": 0.2,
            "meters": 1,
            "estimated_share": 0.0,
        }
    ]
