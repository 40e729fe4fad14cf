"""What tests of landings share: a small file, the time of landing, what came of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from smartgrid_core.contracts.readings import (
    Quarantine,
)
from smartgrid_io.landing.report import LandingReport
from smartgrid_io.postgres.warehouse import PostgresWarehouse

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
START = datetime(2026, 3, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)

Land = Callable[..., LandingReport]


def counts(report: LandingReport) -> tuple[str, int, int, int, int]:
    return (
        report.status,
        report.rows_new,
        report.rows_changed,
        report.rows_repeated,
        report.rows_refused,
    )


def refusals(warehouse: PostgresWarehouse) -> list[tuple[int, str]]:
    return warehouse.read(Quarantine).select("row_number", "reason").rows()


METERS = """meter_id,customer_id,reading,timestamp,unit,reading_kind
a,C1,10.5,2026-03-01T00:00:00Z,kWh,register
a,C1,11.0,2026-03-01T00:15:00Z,kWh,register
b,C2,7000,2026-03-01T00:00:00Z,Wh,register
"""
