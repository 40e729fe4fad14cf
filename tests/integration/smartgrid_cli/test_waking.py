"""What wakes Dagster's daemon, and the storage that keeps its connections, against PostgreSQL."""

import threading
import time
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.test_utils import instance_for_test

from smartgrid_cli.dagster_host.daemon import watch_folder, watch_warehouse
from smartgrid_cli.dagster_host.pooled_storage import connect_pool
from smartgrid_cli.dagster_host.wakeup import Wakeup
from smartgrid_io.postgres.warehouse import PostgresWarehouse

SOON_S = 5.0


def watch(what, *arguments) -> None:
    threading.Thread(target=what, args=arguments, daemon=True).start()


def wait_for_next(wakeup: Wakeup, seen: int) -> int:
    events = wakeup.wait(seen, short_s=SOON_S, idle_s=SOON_S)
    assert events > seen, "nobody was woken"
    return events


def let_settle(wakeup: Wakeup) -> int:
    """Events until nothing has happened for a while."""
    seen = 0
    while (events := wakeup.wait(seen, short_s=1.0, idle_s=1.0)) > seen:
        seen = events
    return seen


def test_days_that_are_touched_and_messages_that_wait_wake_whoever_waits(
    warehouse: PostgresWarehouse,
):
    wakeup = Wakeup()
    watch(watch_warehouse, warehouse.url, wakeup)
    seen = let_settle(wakeup)
    with psycopg.connect(warehouse.url) as connection:
        connection.execute(
            "INSERT INTO touched_days (dataset, day, touched_at)"
            " VALUES ('meter_readings', '2026-03-01', now())"
        )
        assert wakeup.wait(seen, short_s=0.5, idle_s=0.5) == seen, "nothing is committed yet"
    seen = wait_for_next(wakeup, seen)
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
    assert wakeup.wait(seen, short_s=15, idle_s=15) > seen, "it looks again after an outage"


def test_a_file_that_arrives_wakes_whoever_waits_even_in_a_folder_that_came_later(tmp_path: Path):
    folder, wakeup = tmp_path / "landing", Wakeup()
    watch(watch_folder, folder, wakeup)
    time.sleep(0.3)
    folder.mkdir()
    time.sleep(6.0)
    seen = let_settle(wakeup)
    (folder / ".meters.csv.part").write_text("meter_id\n")
    seen = wait_for_next(wakeup, seen)
    (folder / ".meters.csv.part").rename(folder / "meters.csv")
    wait_for_next(wakeup, seen)


@dg.asset
def load() -> None:
    """Nothing; its materialisation is an event of an asset."""


@pytest.fixture
def storage(warehouse: PostgresWarehouse) -> dict[str, object]:
    return {
        "custom": {
            "module": "smartgrid_cli.dagster_host.pooled_storage",
            "class": "PooledPostgresStorage",
            "config": {"postgres_url": warehouse.url},
        }
    }


def test_a_run_and_its_events_are_kept_over_few_connections(
    storage: dict[str, object], warehouse: PostgresWarehouse
):
    with instance_for_test(overrides={"storage": storage}) as instance:
        assert dg.materialize([load], instance=instance).success
        assert instance.get_latest_materialization_event(load.key) is not None
        with dg.DagsterInstance.from_ref(instance.get_ref()) as other:
            assert other.get_runs_count() == 1
        pool = connect_pool(warehouse.url)
        assert pool.pool.checkedin() <= 2  # type: ignore[attr-defined]


def test_after_a_restart_of_the_database_the_next_question_is_answered(
    storage: dict[str, object], warehouse: PostgresWarehouse
):
    with instance_for_test(overrides={"storage": storage}) as instance:
        assert instance.get_runs_count() == 0
        with psycopg.connect(warehouse.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert instance.get_runs_count() == 0
