"""What commands read from the stores: rows per table, the leaderboard, forecasts, alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import dataframely as dy
import polars as pl
import psycopg
from psycopg import sql

from smartgrid_core.contracts.alerts import Alerts
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadBacktest
from smartgrid_core.contracts.promotion import PromotionDecisions
from smartgrid_core.contracts.tables import CONTRACT_TABLES, Table
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.protocols import Lake, Warehouse
from smartgrid_core.rollout.labels import LOAD_FORECASTER, OUTPUTS, STABLE
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_io.parquet_lake import ParquetLake
from smartgrid_io.postgres.warehouse import PostgresWarehouse
from smartgrid_io.serving.client import ModelServerClient

WHOLE_GRID = "grid"
"""The series that is the sum of all feeders."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """Rows of one table in each store.

    Attributes:
        name: Name of the table.
        warehouse: Rows in PostgreSQL; None if it has no such table.
        lake: Rows in the lake; None if it has none.
    """

    name: str
    warehouse: int | None
    lake: int | None


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that a process with these variables would build."""
    prefix = "SMARTGRID_"
    known = {
        name.removeprefix(prefix).lower(): value
        for name, value in environment.items()
        if name.startswith(prefix)
    }
    wanted: dict[str, Any] = {k: v for k, v in known.items() if k in Settings.model_fields}
    return Settings(**wanted)


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one machine.

    Attributes:
        warehouse: The database.
        lake: The Parquet files.
        settings: Where everything lies and answers.
    """

    warehouse: PostgresWarehouse
    lake: Lake
    settings: Settings

    @classmethod
    def open(cls, settings: Settings) -> "Stores":
        """Return the stores of the settings. Raises ConfigurationError without a database."""
        if settings.database_url is None:
            raise ConfigurationError(
                "no database: start everything with `smartgrid up`, or set SMARTGRID_DATABASE_URL"
            )
        url = settings.database_url.get_secret_value()
        return cls(PostgresWarehouse(url), ParquetLake(settings.lake_place), settings)


def measure_tables(database_url: str, lake: Lake) -> list[TableSize]:
    """Return the rows of every table of a contract that either store holds."""
    sizes = []
    with psycopg.connect(database_url) as connection:
        for entry in CONTRACT_TABLES.values():
            stored = connection.execute("SELECT to_regclass(%s)", [entry.name]).fetchone()
            rows = None
            if stored is not None and stored[0] is not None:
                query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(entry.name))
                rows = (connection.execute(query).fetchone() or (0,))[0]
            history = _count_lake_rows(lake, entry.schema)
            if rows is not None or history:
                sizes.append(TableSize(entry.name, rows, history))
    return sizes


def list_warehouse_days(database_url: str, table: Table) -> list[date] | None:
    """Return the UTC days of a table that is cut by day, in order; [] for one that is kept whole.

    None: PostgreSQL holds no such table.
    """
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT to_regclass(%s)", [table.name]).fetchone()
        if stored is None or stored[0] is None:
            return None
        if table.day_column is None:
            return []
        # A Date becomes midnight UTC, an instant stays what it is: its UTC day either way.
        query = sql.SQL(
            "SELECT DISTINCT ({0}::timestamptz AT TIME ZONE 'UTC')::date FROM {1} ORDER BY 1"
        ).format(sql.Identifier(table.day_column), sql.Identifier(table.name))
        connection.execute("SET LOCAL TIME ZONE 'UTC'")
        return [day for (day,) in connection.execute(query)]


def read_leaderboard(warehouse: Warehouse) -> pl.DataFrame:
    """Return the latest backtest's rows over all series, the best first."""
    scores = warehouse.read(LoadBacktest)
    if scores.is_empty():
        return scores
    latest = scores.sort("scored_at")["backtest_id"][-1]
    return scores.filter(pl.col("backtest_id") == latest, pl.col("series") == "all").sort(
        "mae", nulls_last=True
    )


def read_open_alerts(warehouse: Warehouse) -> pl.DataFrame:
    """Return the alerts that wait for a person, the newest first."""
    return (
        warehouse.read(Alerts).filter(pl.col("state") == "open").sort("opened_at", descending=True)
    )


@dataclass(frozen=True, slots=True)
class ServedForecast:
    """The whole grid's forecast as the model server answered it over REST.

    Attributes:
        frame: hour_start, p10, p50, p90 (kW), model_version; one row per hour.
        grpc_apart: Largest difference of the answer over gRPC to it, kW.
    """

    frame: pl.DataFrame
    grpc_apart: float


def request_forecast(stores: Stores, *, window: Window) -> ServedForecast:
    """Return the whole grid's forecast for the window from the model server, over REST and gRPC.

    Raises ModelUnavailableError if the server has no model or does not answer.
    """
    features = (
        stores.lake.scan(LoadFeatures, window=window)
        .filter(pl.col("feeder_id") == WHOLE_GRID)
        .sort("hour_start")
        .collect()
    )
    settings = stores.settings
    with ModelServerClient(settings.model_server_grpc, settings.model_server_rest) as server:
        names = server.list_input_names(LOAD_FORECASTER, label=STABLE)
        asked = {name: features[name].cast(pl.Float32).to_numpy() for name in names}
        rest = server.predict_over_rest(LOAD_FORECASTER, asked, label=STABLE)
        grpc = server.predict(LOAD_FORECASTER, asked, label=STABLE)
    apart = (rest.frame.select(OUTPUTS) - grpc.frame.select(OUTPUTS)).select(
        pl.max_horizontal(pl.col(OUTPUTS).abs().max())
    )
    return ServedForecast(
        features.select("hour_start").with_columns(
            *rest.frame.select(OUTPUTS), model_version=pl.lit(rest.model_version)
        ),
        float(apart.item() or 0.0),
    )


def read_newest_decision(warehouse: Warehouse) -> pl.DataFrame:
    """Return the rows of `PromotionDecisions` of the last decision; none before the first."""
    rows = warehouse.read(PromotionDecisions)
    return rows.filter(pl.col("decided_at") == pl.col("decided_at").max())


def _count_lake_rows(lake: Lake, schema: type[dy.Schema]) -> int | None:
    """Return the rows in the lake; None if it holds none."""
    return lake.scan(schema).select(pl.len()).collect().item() or None
