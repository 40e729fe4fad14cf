"""Bring a database to the present tables, and make the months that a load needs."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dataframely as dy
import psycopg
import sqlalchemy as sa
from psycopg import sql

from smartgrid_core.contracts.tables import to_table_name
from smartgrid_core.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"

OLDEST_SERVER = 180000
"""`RETURNING old.*` tells a changed row from a new one in the upsert itself; 18 has it."""

UPGRADE_LOCK = 0x736D6172
"""One advisory lock for all who bring the tables up to date."""

MONTHS_LOCK = 0x736D6D6F
"""One advisory lock for all who make partitions."""


def _include_name(name: str | None, kind: str, parents: object) -> bool:
    """Return whether a table is one of ours: no partition, nothing of Dagster or MLflow."""
    from smartgrid_io.postgres.tables import METADATA

    return kind != "table" or name in METADATA.tables


MIGRATION_OPTIONS: dict[str, Any] = {
    "version_table": "smartgrid_alembic_version",
    "include_name": _include_name,
    "compare_type": True,
    "compare_server_default": True,
}
"""A version table of our own: Dagster keeps `alembic_version` in the same way."""


def to_sqlalchemy_url(url: str) -> str:
    """Return the URL of the same database through psycopg 3.

    >>> to_sqlalchemy_url("postgresql://me@host/grid")
    'postgresql+psycopg://me@host/grid'
    """
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg://", url)


def upgrade_tables(url: str) -> None:
    """Bring the database at `url` to the present tables; two at once wait for each other.

    Raises ConfigurationError if the server is older than PostgreSQL 18.
    """
    from alembic import command

    engine = sa.create_engine(to_sqlalchemy_url(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        version = connection.execute(sa.text("SHOW server_version_num")).scalar_one()
        if int(version) < OLDEST_SERVER:
            raise ConfigurationError(
                f"PostgreSQL 18 or newer is needed, the server has {version}: "
                "use the postgres:18 image or the embedded server"
            )
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        command.upgrade(build_alembic_config(connection), "head")


def build_alembic_config(connection: sa.Connection) -> "Config":
    """Return Alembic's settings for work on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def ensure_months(
    url: str,
    schema: type[dy.Schema],
    days: Iterable[date],
    *,
    known_to: psycopg.Connection[Any] | None = None,
) -> None:
    """Make the monthly partitions that rows of these days go to; existing ones are left alone.

    A month is made beside the table and attached, which stops neither readers nor writers.

    Args:
        url: The database's URL.
        schema: The contract of a table that is cut into months.
        days: UTC days of rows.
        known_to: An open connection that is asked first: another one costs more than the question.
    """
    months = sorted({(day.year, day.month) for day in days})
    parent = to_table_name(schema)
    names = {month: f"{parent}_y{month[0]:04}m{month[1]:02}" for month in months}
    if known_to is not None and not _find_missing_months(known_to, names):
        return
    with psycopg.connect(url) as connection:
        missing = _find_missing_months(connection, names)
        if not missing:
            return
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [MONTHS_LOCK])
        for year, month in _find_missing_months(connection, names):
            following = (year + month // 12, month % 12 + 1)
            child, whole = sql.Identifier(names[year, month]), sql.Identifier(parent)
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
                ).format(child, whole)
            )
            connection.execute(
                sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    whole,
                    child,
                    sql.Literal(f"{year:04}-{month:02}-01 00:00:00+00"),
                    sql.Literal(f"{following[0]:04}-{following[1]:02}-01 00:00:00+00"),
                )
            )


def _find_missing_months(
    connection: psycopg.Connection[Any], names: dict[tuple[int, int], str]
) -> list[tuple[int, int]]:
    """Return the months that have no partition yet."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relname = ANY(%s) "
        "AND relnamespace = current_schema()::regnamespace",
        [list(names.values())],
    )
    known = {name for (name,) in rows}
    return [month for month, name in names.items() if name not in known]
