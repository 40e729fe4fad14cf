"""Fixtures that more than one test module uses: real servers, clean databases, shared data."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from smartgrid_io.postgres.embedded import EmbeddedPostgres
from smartgrid_io.postgres.schema import upgrade_tables
from smartgrid_io.postgres.warehouse import PostgresWarehouse

# A slow or busy machine is no error of the code; `make check` asks for fewer examples.
settings.register_profile("full", deadline=None, max_examples=50)
settings.register_profile("quick", deadline=None, max_examples=8)
settings.load_profile("full")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One embedded PostgreSQL per test worker, on a free port."""
    server = EmbeddedPostgres(
        tmp_path_factory.mktemp("server"), fsync=False, options={"max_connections": "60"}
    )
    with server:
        yield server


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres_server.ensure_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with the present tables, to copy from."""
    upgrade_tables(postgres_server.ensure_database("migrated"))
    return "migrated"


@pytest.fixture
def warehouse(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[PostgresWarehouse]:
    """A warehouse of the test's own, with the present tables and no rows."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield PostgresWarehouse(postgres_server.ensure_database(name, template=migrated_template))
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public measurements; the test is skipped where there is none."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SMARTGRID_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no public measurements in {folder}: set SMARTGRID_SHARED_DATA")
    return folder
