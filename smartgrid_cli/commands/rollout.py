"""`smartgrid rollback`, `promote` and `ab`: labels and traffic of a served model, by hand."""

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dataframely as dy
import polars as pl
from rich.console import Console
from rich.markup import escape

from smartgrid_cli.commands.status import read_local_settings
from smartgrid_cli.display.store_queries import Stores
from smartgrid_cli.machine.home import Home
from smartgrid_core.contracts.serving import TrafficSplits
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.protocols import WriteResult
from smartgrid_core.rollout.labels import CANARY, STABLE
from smartgrid_core.settings import Settings
from smartgrid_io.mlflow.aliases import MlflowAliases
from smartgrid_io.postgres.warehouse import PostgresWarehouse
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.label_mover import Journal, LabelMover, LabelMoveResult
from smartgrid_io.serving.model_repository import ModelServerRepository
from smartgrid_io.serving.router import Split, find_split

PATIENCE_S = 2.0
"""Versions to go back to are loaded: a server that does not follow at once needs a look."""

CALL_TIMEOUT_S = 2.0


class NoJournal:
    """Takes the place of the database where there is none: a label can be moved all the same."""

    def read(self, schema: type[dy.Schema]) -> pl.DataFrame:
        """Raises ConfigurationError."""
        raise ConfigurationError(
            f"no database for {schema.__name__}: start everything with `smartgrid up`, or set "
            "SMARTGRID_DATABASE_URL"
        )

    def upsert(self, schema: type[dy.Schema], rows: pl.DataFrame) -> WriteResult:
        """Raises ConfigurationError."""
        del rows
        return WriteResult(0, self.read(schema))


@contextmanager
def open_label_mover(settings: Settings, *, by: str) -> Iterator[LabelMover]:
    """Yield what moves labels with these settings; no server is called yet."""
    url = settings.database_url
    journal: Journal = NoJournal() if url is None else PostgresWarehouse(url.get_secret_value())
    with ModelServerClient(
        settings.model_server_grpc, settings.model_server_rest, timeout=CALL_TIMEOUT_S
    ) as client:
        repository = ModelServerRepository(settings.model_place, client, patience_s=PATIENCE_S)
        yield LabelMover(repository, MlflowAliases(settings.mlflow_url), journal, by)


def roll_back_here(
    home: Home, console: Console, *, model: str, to: int | None, reason: str
) -> bool:
    """Take back what was done last with a model, and print it.

    Args:
        home: The home folder of the running machine.
        console: Where the moves are printed.
        model: Name of the registered model.
        to: The version to go back to; None for the one that was stable before.
        reason: Why, for the journal.

    Returns:
        Whether server, registry and journal have all followed.

    Raises:
        PublicationError: If there is nothing to go back to.
    """
    began = time.monotonic()
    with open_label_mover(
        read_local_settings(home), by=f"smartgrid rollback ({_read_user_name()})"
    ) as mover:
        moved = mover.roll_back(model, to=to, reason=reason, now=datetime.now(UTC))
    return _print_moves(moved, console, seconds=time.monotonic() - began)


def promote_here(home: Home, console: Console, *, model: str, reason: str) -> bool:
    """Make a model's canary stable, and print it.

    Args:
        home: The home folder of the running machine.
        console: Where the moves are printed.
        model: Name of the registered model.
        reason: Why, for the journal.

    Returns:
        Whether server, registry and journal have all followed.

    Raises:
        PublicationError: If there is no canary.
    """
    began = time.monotonic()
    with open_label_mover(
        read_local_settings(home), by=f"smartgrid promote ({_read_user_name()})"
    ) as mover:
        moved = mover.promote(model, reason=reason, now=datetime.now(UTC))
    return _print_moves(moved, console, seconds=time.monotonic() - began)


def split_here(
    home: Home, console: Console, *, model: str, canary_share: float | None, salt: str | None
) -> None:
    """Print which share of the feeders a model's canary answers, after changing it if asked to.

    The next batch is dealt by it; nothing is restarted.

    Args:
        home: The home folder of the running machine.
        console: Where the share is printed.
        model: Name of the registered model.
        canary_share: The new share, 0 to 1; None keeps it.
        salt: A new salt deals the feeders to the variants anew; None keeps it.

    Raises:
        ConfigurationError: If no database runs.
    """
    warehouse = Stores.open(read_local_settings(home)).warehouse
    split = find_split(warehouse.read(TrafficSplits), model)
    if canary_share is not None or salt is not None:
        split = Split(
            split.canary_share if canary_share is None else canary_share,
            split.salt if salt is None else salt,
        )
        row = {
            "model": model,
            "canary_share": split.canary_share,
            "salt": split.salt,
            "changed_at": datetime.now(UTC),
        }
        warehouse.upsert(TrafficSplits, TrafficSplits.validate(pl.DataFrame([row]), cast=True))
    console.print(
        f"{model}: a canary answers {split.canary_share:.1%} of the feeders"
        + (f", dealt with the salt {escape(repr(split.salt))}" if split.salt else "")
    )


def describe_moves(moved: LabelMoveResult) -> list[str]:
    """Return one sentence per label: where it was and is."""
    model, before, after = moved.after.model, moved.before.labels, moved.after.labels
    sentences = []
    for label in (STABLE, CANARY):
        was, now_is = before.get(label), after.get(label)
        if now_is is None and was is not None:
            sentences.append(f"{model}: version {was} is no longer {label}")
        elif was is None and now_is is not None:
            sentences.append(f"{model}: {label} is version {now_is}")
        elif was != now_is:
            sentences.append(f"{model}: {label} was version {was} and is version {now_is}")
        elif now_is is not None:
            sentences.append(f"{model}: {label} is version {now_is} as before")
    return sentences


def _print_moves(moved: LabelMoveResult, console: Console, *, seconds: float) -> bool:
    for sentence in describe_moves(moved):
        console.print(escape(sentence))
    for trouble in moved.troubles:
        console.print(f"[yellow]but[/yellow] {escape(trouble)}")
    console.print(f"took {seconds:.1f} s")
    return not moved.troubles


def _read_user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown user"
