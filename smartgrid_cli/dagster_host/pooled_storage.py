"""Dagster's storage in PostgreSQL over connections that are kept, instead of a new one a question.

Dagster opens a connection for every question it asks, except in its web server. With password
authentication that is most of the processor time that an idle daemon takes, and much of a run's.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self, cast

import sqlalchemy as sa
from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import pg_url_from_config

KEPT_CONNECTIONS = 2
MOST_CONNECTIONS = 32
"""Of one process: a daemon's threads each ask for themselves."""


@lru_cache(maxsize=4)
def connect_pool(url: str) -> sa.Engine:
    """Return this process's pool for a database; a connection that broke is replaced when used."""
    return sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=KEPT_CONNECTIONS,
        max_overflow=MOST_CONNECTIONS - KEPT_CONNECTIONS,
        pool_pre_ping=True,
        pool_use_lifo=True,
    )


@lru_cache(maxsize=4)
def ensure_tables(url: str) -> None:
    """Make Dagster's tables if there are none; asked once in a process."""
    with connect_pool(url).connect() as connection:
        known = connection.execute(
            sa.text("SELECT to_regclass('runs'), to_regclass('event_logs'), to_regclass('jobs')")
        ).one()
    if None in known:
        for storage in (PostgresRunStorage, PostgresEventLogStorage, PostgresScheduleStorage):
            storage(url, should_autocreate_tables=True)


class _Pooled:
    """A storage whose questions go over the process's pool."""

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False)  # type: ignore[call-arg]
        self._engine = connect_pool(postgres_url)

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """Keep the pool, which is what the web server asks for."""


class PooledRunStorage(_Pooled, PostgresRunStorage):
    """Runs."""


class PooledEventLogStorage(_Pooled, PostgresEventLogStorage):
    """Events."""


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Ticks of schedules and sensors."""

    def has_instigators_table(self) -> bool:
        """Return True: `ensure_tables` made it; Dagster would list all tables at every tick."""
        return True


class PooledPostgresStorage(DagsterPostgresStorage):
    """What `dagster.yaml` names as the storage.

    Args:
        postgres_url: The database.
        inst_data: How Dagster configures the storage.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        ensure_tables(postgres_url)
        self._run_storage = PooledRunStorage(postgres_url)
        self._event_log_storage = PooledEventLogStorage(postgres_url)
        self._schedule_storage = PooledScheduleStorage(postgres_url)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Return the storage that `dagster.yaml` describes."""
        return cls(pg_url_from_config(cast(PostgresStorageConfig, config_value)), inst_data)
