"""The embedded server: made, healed after a kill, closed to strangers."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from smartgrid_core.errors import ServerError
from smartgrid_io.postgres.embedded import EmbeddedPostgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "home", fsync=False)
    server.start()
    yield server
    server.stop()


def kill(server: EmbeddedPostgres) -> None:
    """End the server as the machine's memory guard would."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.is_running:
        time.sleep(0.01)


def test_a_killed_server_starts_again_with_its_rows_and_port(server: EmbeddedPostgres):
    port = server.port
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    kill(server)
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchall() == [(7,)]
    assert server.port == port


def test_a_pid_that_now_is_another_process_does_not_block_the_start(server: EmbeddedPostgres):
    pid_file = server.data / "postmaster.pid"
    kill(server)
    pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], "1", 1))
    assert not server.is_running
    server.start()
    assert server.is_running


def test_a_running_server_is_adopted_and_stopped_by_another_handle(server: EmbeddedPostgres):
    other = EmbeddedPostgres(server.folder.parent)
    other.start()
    assert other.url == server.url
    other.stop()
    assert not server.is_running


def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres):
    wrong = server.url.replace(":" + server.url.split(":")[2].split("@")[0] + "@", ":guess@")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    assert (server.folder / "password").stat().st_mode & 0o777 == 0o600


def test_a_database_is_made_once(server: EmbeddedPostgres):
    assert server.ensure_database("mlflow") == server.ensure_database("mlflow")


def test_a_half_made_server_is_made_anew(tmp_path: Path):
    leftover = tmp_path / "home" / "postgres" / "data.new"
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(tmp_path / "home", fsync=False) as server:
        assert server.is_running
        assert not leftover.exists()


def test_a_home_that_only_its_owner_can_enter_is_served(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "home", fsync=False) as server:
        assert server.is_running
    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_taken_port_is_named_with_the_log(server: EmbeddedPostgres, tmp_path: Path):
    rival = EmbeddedPostgres(tmp_path / "rival", server.port, fsync=False)
    with pytest.raises(ServerError, match=r"(?s)does not run.*server.log.*could not bind"):
        rival.start()
