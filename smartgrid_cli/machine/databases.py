"""The three databases of the machine (the product's, Dagster's, MLflow's) and who serves them."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from smartgrid_cli.machine.child_process import record_child
from smartgrid_cli.machine.home import Home
from smartgrid_core.settings import Settings
from smartgrid_io.postgres.embedded import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Databases:
    """The three databases of the machine.

    Attributes:
        product: URL of the warehouse, with its password.
        dagster: URL of Dagster's storage, with its password.
        mlflow: URL of MLflow's store, with its password.
        server: The embedded server; None if the settings name another server.
        home: The home folder.
    """

    product: str
    dagster: str
    mlflow: str
    server: EmbeddedPostgres | None
    home: Home

    @property
    def address(self) -> str:
        """host:port/database, without a secret."""
        parts = urlsplit(self.product)
        return f"{parts.hostname}:{parts.port or 5432}{parts.path}"

    def make_child(self) -> "PostgresChild":
        """Return the embedded server as the supervisor sees it."""
        if self.server is None:
            raise ValueError("somebody else's server is not ours to supervise")
        return PostgresChild(self.server, home=self.home)


class PostgresChild:
    """The embedded PostgreSQL as a child; one that is already running is taken over."""

    name = "postgres"

    def __init__(self, server: EmbeddedPostgres, *, home: Home) -> None:
        self._server = server
        self._home = home

    @property
    def pid(self) -> int | None:
        """The server's process, None while there is none."""
        return self._server.pid

    def start(self) -> None:
        """Start the server and repair what a kill left; returns when it answers."""
        self._server.start()
        if self._server.pid is not None:
            record_child(self._home, self.name, self._server.pid)

    def is_alive(self) -> bool:
        """Return whether there is a process."""
        return self._server.is_running

    def is_ready(self) -> bool:
        """Return whether the server runs: `start` returned only when it answered."""
        return self._server.is_running

    def stop(self) -> None:
        """Shut down fast: every client is disconnected, nothing is lost."""
        self._server.stop()
        (self._home.run / f"{self.name}.json").unlink(missing_ok=True)

    def explain_end(self) -> str:
        """Return that the server is gone and where its log is."""
        return f"{self.name} is gone; see {self._server.log}"


def open_databases(settings: Settings, *, home: Home, port: int) -> Databases:
    """Start the embedded server, or reach the one that the settings name; create what is missing.

    Raises ServerError if the server does not start.
    """
    if settings.database_url is not None:
        product = settings.database_url.get_secret_value()
        name = urlsplit(product).path.lstrip("/")
        return Databases(
            product=product,
            dagster=_ensure_database(product, f"{name}_dagster"),
            mlflow=_ensure_database(product, f"{name}_mlflow"),
            server=None,
            home=home,
        )
    server = EmbeddedPostgres(home.root, port=port).start()
    if server.pid is not None:
        record_child(home, PostgresChild.name, server.pid)
    return Databases(
        product=server.url,
        dagster=server.ensure_database("dagster"),
        mlflow=server.ensure_database("mlflow"),
        server=server,
        home=home,
    )


def _ensure_database(url: str, name: str) -> str:
    """Return the URL of another database on the same server; it is created if absent."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
