"""A migrated database is what the contracts say, however often and by whomever it was upgraded."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from smartgrid_core.contracts.readings import MeterReadings
from smartgrid_io.postgres.copy import connect
from smartgrid_io.postgres.embedded import EmbeddedPostgres
from smartgrid_io.postgres.schema import (
    MIGRATION_OPTIONS,
    ensure_months,
    to_sqlalchemy_url,
    upgrade_tables,
)
from smartgrid_io.postgres.tables import METADATA

CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
AND conrelid::regclass::text <> 'smartgrid_alembic_version' ORDER BY 1, 2
"""


def test_migrations_make_exactly_the_tables_of_the_contracts(database_url: str):
    upgrade_tables(database_url)
    ensure_months(database_url, MeterReadings, [date(2026, 2, 3)])
    engine = sa.create_engine(to_sqlalchemy_url(database_url), poolclass=sa.NullPool)
    with engine.connect() as connection:
        options = {**MIGRATION_OPTIONS, "target_metadata": METADATA}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_migrations_make_the_same_checks_as_the_contracts(
    database_url: str, postgres_server: EmbeddedPostgres
):
    upgrade_tables(database_url)
    direct = postgres_server.ensure_database("made_directly")
    engine = sa.create_engine(to_sqlalchemy_url(direct), poolclass=sa.NullPool)
    METADATA.create_all(engine)
    with connect(database_url) as migrated, connect(direct) as made:
        assert migrated.execute(CONSTRAINTS).fetchall() == made.execute(CONSTRAINTS).fetchall()
    postgres_server.drop_database("made_directly")


def test_two_upgrades_at_once_and_a_third_later_do_no_harm(database_url: str):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(upgrade_tables, [database_url, database_url]))
    upgrade_tables(database_url)
    with connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM grid_topology").fetchone() == (0,)


def test_months_are_made_once_even_when_several_ask(database_url: str):
    upgrade_tables(database_url)
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ensure_months(database_url, MeterReadings, days), range(4)))
    with connect(database_url) as connection:
        rows = connection.execute(
            "SELECT inhrelid::regclass::text, pg_get_expr(c.relpartbound, c.oid) "
            "FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
            "WHERE inhparent = 'meter_readings'::regclass ORDER BY 1"
        ).fetchall()
    assert rows == [
        (
            "meter_readings_y2025m12",
            "FOR VALUES FROM ('2025-12-01 00:00:00+00') TO ('2026-01-01 00:00:00+00')",
        ),
        (
            "meter_readings_y2026m01",
            "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')",
        ),
    ]
