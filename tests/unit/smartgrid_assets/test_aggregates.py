"""The aggregates' shells, over a store in memory."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from smartgrid_assets.aggregates.assets import feeder_load, meter_consumption
from smartgrid_core.contracts.aggregates import FeederLoad, MeterConsumption
from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.readings import MeterReadings
from smartgrid_core.settings import Settings

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


def half_hours() -> pl.DataFrame:
    """A meter's interval readings of one day, each at its interval's end; the last at midnight."""
    ends = [MIDNIGHT + n * timedelta(minutes=30) for n in range(1, 49)]
    return registers(start_kwh=0.5, step_kwh=0.0)[:48].with_columns(
        reading_kind=pl.lit("interval"), event_time=pl.Series(ends)
    )


class OnlyDaysDone:
    """A lake whose next day has not been computed yet."""

    def __init__(self, store, end: datetime) -> None:
        self.store, self.end = store, end

    def scan(self, schema, *, window=None) -> pl.LazyFrame:
        rows = self.store.scan(schema, window=window)
        return rows.filter(pl.col("event_time") < self.end) if schema is MeterReadings else rows

    def replace(self, schema, rows, *, window=None):
        return self.store.replace(schema, rows, window=window)


def test_the_interval_that_midnight_ends_does_not_wait_for_the_next_day(store, handles):
    store.upsert(MeterReadings, half_hours())
    today = OnlyDaysDone(store, MIDNIGHT + timedelta(days=1))

    outcome = dg.materialize(
        [meter_consumption],
        partition_key=DAY,
        resources={
            **handles,
            "lake": today,
            "settings": Settings(meter_interval_minutes=30, _env_file=None),
        },
    )

    assert outcome.success
    energy = store.read(MeterConsumption)
    assert energy["interval_start"].to_list() == [
        MIDNIGHT + n * timedelta(minutes=30) for n in range(48)
    ]
    assert energy["energy_kwh"].sum() == 24.0


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
            "expected_meters": 1,
            "estimated_share": 0.0,
        }
    ]
