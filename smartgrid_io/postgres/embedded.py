"""The embedded PostgreSQL server: made, started, healed and stopped; nothing about its tables."""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psutil
import psycopg
from psycopg import sql

from smartgrid_core.errors import ServerError
from smartgrid_io.postgres.binaries import Programs, find_programs, to_child_path

USER = "smartgrid"
"""The server's owner."""
START_TIMEOUT_S = 120.0
"""Replaying the log after a crash under load can take a minute on a slow disk."""
STOP_TIMEOUT_S = 60.0
"""A fast shutdown writes one checkpoint."""
LOG_LIMIT_BYTES = 10_000_000
"""At a start a longer log makes room for a new one; one old log is kept."""


class EmbeddedPostgres:
    """One server per `home`, on 127.0.0.1 with a password; root runs it as an unprivileged user."""

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        *,
        database: str = "smartgrid",
        fsync: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the server; nothing is started yet.

        Args:
            home: Folder of the machine; everything lies in `<home>/postgres`.
            port: TCP port; None keeps the port of the last start if it is free, else takes any.
            database: The default database, made at the start.
            fsync: False gives up surviving a power cut for speed: throw-away tests only.
            options: Further server settings.
        """
        self.folder = home.resolve() / "postgres"
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.database = database
        self._wanted_port = port
        self._fsync = fsync
        self._options = dict(options or {})
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on. Raises ServerError while it is not running."""
        postmaster = self._find_postmaster()
        if postmaster is None:
            raise ServerError(f"PostgreSQL in {self.folder} is not running: start it first")
        return postmaster[1]

    @property
    def pid(self) -> int | None:
        """The server's process, None while it is not running."""
        postmaster = self._find_postmaster()
        return None if postmaster is None else postmaster[0].pid

    @property
    def is_running(self) -> bool:
        """Whether a process serves this folder."""
        return self._find_postmaster() is not None

    @property
    def url(self) -> str:
        """`postgresql://...` of the default database, with the password."""
        return self.get_url(self.database)

    def get_url(self, database: str) -> str:
        """Return `postgresql://...` of any database of the server, with the password."""
        return f"postgresql://{USER}:{self._read_password()}@127.0.0.1:{self.port}/{database}"

    def start(self) -> "EmbeddedPostgres":
        """Make the server if it is new, start it unless it runs, and wait until it answers.

        What a kill left behind is healed. Raises ServerError with the end of the log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._hold_folder():
            if not self.is_running:
                self._forget_ended_child()
                self._remove_orphans()
                programs = find_programs()
                if not self.data.exists():
                    self._create(programs)
                self._launch(programs)
            self._wait_until_ready()
        self.ensure_database(self.database)
        return self

    def stop(self) -> None:
        """Disconnect everybody and stop, at once if that takes too long; nothing if it is not
        running.
        """
        postmaster = self._find_postmaster()
        if postmaster is not None:
            process, _ = postmaster
            for how, patience in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 10.0)):
                try:
                    process.send_signal(how)
                    process.wait(patience)
                    break
                except psutil.TimeoutExpired:
                    continue
                except psutil.NoSuchProcess:
                    break
            else:
                raise ServerError(
                    f"PostgreSQL in {self.folder} (process {process.pid}) will not stop"
                )
        if self._child is not None:
            self._child.wait(STOP_TIMEOUT_S)
            self._child = None

    def ensure_database(self, name: str, *, template: str = "template1") -> str:
        """Return the URL of a database of that name, made as a copy of `template` if there is none
        yet.
        """
        with psycopg.connect(self.get_url("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if known.fetchone() is None:
                try:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                            sql.Identifier(name), sql.Identifier(template)
                        )
                    )
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    return self.get_url(name)  # another process made it between the two statements
        return self.get_url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and whoever is connected to it; none of that name is fine."""
        with psycopg.connect(self.get_url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    @contextmanager
    def _hold_folder(self) -> Iterator[None]:
        """Hold the folder: two processes that start the same server wait for each other."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read_password(self) -> str:
        """Return the owner's password, made on first use and readable for us alone."""
        place = self.folder / "password"
        if not place.exists():
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
        return place.read_text()

    def _find_postmaster(self) -> tuple[psutil.Process, int] | None:
        """Return the server's process and port; None if it is dead or the pid now is another's."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            is_ours = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            if is_ours and Path(process.cwd()) == self.data:
                return process, int(lines[3])
        except (FileNotFoundError, psutil.Error, IndexError, ValueError):
            return None
        return None

    def _forget_ended_child(self) -> None:
        """Wait for a child that has ended, so that no zombie stays."""
        if self._child is not None:
            self._child.wait(STOP_TIMEOUT_S)
            self._child = None

    def _remove_orphans(self) -> None:
        """End the workers of a killed server, then its pid file.

        A worker that still writes would spoil the data of the next server; a pid that now is
        another process would keep it from starting.
        """
        orphans = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()) == self.data:
                    process.send_signal(signal.SIGQUIT)
                    orphans.append(process)
            except (psutil.Error, OSError):
                continue  # it is gone, or another user's: not ours in either case
        for process in psutil.wait_procs(orphans, timeout=5)[1]:
            process.kill()
        psutil.wait_procs(orphans, timeout=5)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _create(self, programs: Programs) -> None:
        """Run `initdb` beside the final place and move it there when it is whole."""
        scratch = self.folder / "data.new"
        if scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(mode=0o700)
        password = self.folder / "password.new"
        password.write_text(self._read_password())
        password.chmod(0o600)
        if programs.uid is not None:
            for place in (scratch, password):
                os.chown(place, programs.uid, programs.uid)
        try:
            finished = self._run_initdb(programs, scratch=scratch, password=password)
        finally:
            password.unlink()
        if finished.returncode != 0:
            raise ServerError(
                f"PostgreSQL could not be made in {self.folder}: "
                f"{(finished.stderr or finished.stdout).strip()[-2000:]}"
            )
        scratch.rename(self.data)

    def _run_initdb(
        self, programs: Programs, *, scratch: Path, password: Path
    ) -> subprocess.CompletedProcess[str]:
        """Return `initdb` as it ended; it fills `scratch`, with the password of that file."""
        secret, target = os.open(password, os.O_RDONLY), os.open(scratch, os.O_RDONLY)
        try:
            return subprocess.run(  # noqa: S603 - our own program, no shell
                [
                    str(programs.folder / "initdb"),
                    f"--pgdata={to_child_path(scratch, target, uid=programs.uid)}",
                    f"--pwfile={to_child_path(password, secret, uid=programs.uid)}",
                    f"--username={USER}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    # Code point order, the same on every machine and in Polars.
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                pass_fds=(secret, target),
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                user=programs.uid,
                group=programs.uid,
                extra_groups=None if programs.uid is None else [],
            )
        finally:
            os.close(secret)
            os.close(target)

    def _launch(self, programs: Programs) -> None:
        """Start the server process in a session of its own, so that Ctrl-C does not reach it."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._choose_port()),
            "unix_socket_directories": "",
            "fsync": "on" if self._fsync else "off",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_wal_size": "2GB",
            **self._options,
        }
        target = os.open(self.data, os.O_RDONLY)
        try:
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(  # noqa: S603 - our own program, no shell
                    [
                        str(programs.folder / "postgres"),
                        "-D",
                        to_child_path(self.data, target, uid=programs.uid),
                        *(part for item in settings.items() for part in ("-c", "=".join(item))),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    pass_fds=(target,),
                    env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                    start_new_session=True,
                    user=programs.uid,
                    group=programs.uid,
                    extra_groups=None if programs.uid is None else [],
                )
        finally:
            os.close(target)
        (self.folder / "port").write_text(settings["port"])

    def _choose_port(self) -> int:
        """Return the wanted port, else the last one if it is free, else any."""
        if self._wanted_port is not None:
            return self._wanted_port
        place = self.folder / "port"
        wishes = [int(place.read_text())] if place.exists() else []
        for wish in (*wishes, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", wish))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise ServerError("no port is free on 127.0.0.1")

    def _wait_until_ready(self) -> None:
        """Return when the server takes connections. Raises ServerError if it died or hangs."""
        end = time.monotonic() + START_TIMEOUT_S
        last_error = "it did not answer in time"
        while time.monotonic() < end:
            if self._child is not None and self._child.poll() is not None:
                last_error = f"it ended with code {self._child.returncode}"
                self._child = None
                break
            try:
                with psycopg.connect(self.get_url("postgres"), connect_timeout=5):
                    return
            except psycopg.OperationalError as error:
                last_error = str(error)
                if self._child is None and "password authentication failed" in last_error:
                    break
            except ServerError:
                pass  # the server has not written its pid file yet
            time.sleep(0.05)
        raise ServerError(
            f"PostgreSQL in {self.folder} does not run: {last_error}. "
            f"The end of {self.log}:\n{self._read_log_tail()}"
        )

    def _read_log_tail(self) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
