"""Energy rows to add up, and another engine to add them up with."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from smartgrid_core.contracts.aggregates import MeterConsumption

Consumption = Callable[..., pl.DataFrame]


@pytest.fixture(scope="session")
def consumption() -> Consumption:
    """`consumption((meter_id, hours after noon, kWh[, quality]), ...)`, one hour or less long."""

    def rows(
        *energies: tuple[str, float, float] | tuple[str, float, float, str],
        interval_minutes: int = 60,
        noon: datetime = datetime(2025, 3, 1, 12, tzinfo=UTC),
    ) -> pl.DataFrame:
        complete = [(*energy, "measured")[:4] for energy in energies]
        return MeterConsumption.cast(
            pl.DataFrame(
                {
                    "meter_id": [meter_id for meter_id, _, _, _ in complete],
                    "interval_start": [noon + timedelta(hours=hour) for _, hour, _, _ in complete],
                    "interval_minutes": [interval_minutes] * len(complete),
                    "energy_kwh": [kwh for _, _, kwh, _ in complete],
                    "is_estimated": [quality != "measured" for _, _, _, quality in complete],
                    "quality": [quality for _, _, _, quality in complete],
                },
                schema_overrides={"interval_start": pl.Datetime("us", "UTC")},
            )
        )

    return rows


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session on this machine; its tests are skipped where there is no pyspark."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is an extra that is not installed")
    session = sql.SparkSession.builder.master("local[1]").getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    yield session
    session.stop()
