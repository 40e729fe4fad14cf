"""A register to tell stories with, and the way from its readings to interval energy."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from smartgrid_core.contracts.readings import MeterReadings
from smartgrid_core.readings.brackets import select_register_brackets
from smartgrid_core.readings.vee import compute_interval_energy
from smartgrid_core.time import Window

Register = Callable[..., pl.DataFrame]
Energy = Callable[..., pl.DataFrame]


def _register(
    counts: Sequence[float | None],
    *,
    start: datetime = datetime(2025, 3, 1, tzinfo=UTC),
    every_minutes: float = 60,
    meter_id: str = "a",
    kind: str = "register",
) -> pl.DataFrame:
    times = [start + timedelta(minutes=every_minutes * i) for i in range(len(counts))]
    present = [
        (time, count) for time, count in zip(times, counts, strict=True) if count is not None
    ]
    rows = {
        "event_id": [f"{meter_id}-{time:%d%H%M%S}" for time, _ in present],
        "meter_id": [meter_id] * len(present),
        "customer_id": [None] * len(present),
        "reading": [float(count) for _, count in present],
        "unit": ["kWh"] * len(present),
        "reading_kind": [kind] * len(present),
        "event_time": [time for time, _ in present],
        "ingested_at": [time + timedelta(minutes=1) for time, _ in present],
    }
    return MeterReadings.cast(pl.DataFrame(rows, strict=False))


def _energy(
    readings: pl.DataFrame,
    *,
    days: tuple[date, date] = (date(2025, 3, 1), date(2025, 3, 1)),
    brackets_from: pl.DataFrame | None = None,
    interval_minutes: int = 60,
    register_capacity_kwh: float = 100_000.0,
) -> pl.DataFrame:
    window = Window.of_days(*days)
    around = readings if brackets_from is None else brackets_from
    return compute_interval_energy(
        readings,
        select_register_brackets(around, days=list(window.days())),
        window=window,
        interval_minutes=interval_minutes,
        register_capacity_kwh=register_capacity_kwh,
    )


@pytest.fixture(scope="session")
def register() -> Register:
    """`register(counts, start=, every_minutes=, meter_id=, kind=)`: rows of MeterReadings."""
    return _register


@pytest.fixture(scope="session")
def energy() -> Energy:
    """`energy(readings, days=, interval_minutes=)`: rows of MeterConsumption."""
    return _energy
