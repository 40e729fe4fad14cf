"""What is purged of Dagster's storage, against a storage that Dagster itself has made."""

import dagster as dg
import psycopg
import pytest
from dagster._core.test_utils import instance_for_test

from smartgrid_io.dagster_storage import purge_events
from smartgrid_io.postgres.warehouse import PostgresWarehouse


@dg.asset
def load() -> None:
    """Nothing; its materialisation is an event of an asset."""


@pytest.fixture
def instance(warehouse: PostgresWarehouse):
    storage = {"postgres": {"postgres_url": warehouse.url}}
    with instance_for_test(overrides={"storage": storage}) as instance:
        yield instance


def kinds(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT DISTINCT dagster_event_type FROM event_logs")
        return {kind for (kind,) in rows}


def test_a_storage_without_tables_has_nothing_old(warehouse: PostgresWarehouse):
    assert purge_events(warehouse.url) == 0


def test_old_events_of_ended_runs_go_and_materialisations_stay(
    instance: dg.DagsterInstance, warehouse: PostgresWarehouse
):
    assert dg.materialize([load], instance=instance).success
    before = kinds(warehouse.url)
    assert {"STEP_START", "ASSET_MATERIALIZATION"} <= before

    assert purge_events(warehouse.url) == 0
    assert kinds(warehouse.url) == before

    with psycopg.connect(warehouse.url) as connection:
        connection.execute("UPDATE event_logs SET timestamp = timestamp - interval '31 days'")
    assert purge_events(warehouse.url) > 0
    assert kinds(warehouse.url) <= {"ASSET_MATERIALIZATION", "ASSET_MATERIALIZATION_PLANNED"}
    assert instance.get_latest_materialization_event(load.key) is not None
