"""How a registered version goes live: published, loaded, asked, then called champion."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from dagster import get_dagster_logger

from smartgrid_core.errors import ConfigurationError, SmartGridError
from smartgrid_core.ports import ModelRegistry, ModelServer, ModelShelf, ModelVersion
from smartgrid_io.serving.publisher import golden_parity
from smartgrid_ml.export.golden import read_golden

CHAMPION = "champion"
"""The alias of the version that answers."""


def champion_of(registry: ModelRegistry, *, model: str) -> str | None:
    """The version that has proved itself; None if there is none or the registry is away."""
    try:
        champion = registry.by_alias(model, CHAMPION)
    except ConfigurationError as error:
        get_dagster_logger().warning("no champion is known: %s", error)
        return None
    return champion.version if champion else None


@dataclass(frozen=True, slots=True)
class Live:
    """A version that answers. `parity` is its largest relative difference to the offline answer."""

    version: ModelVersion
    parity: float
    removed: tuple[int, ...]


def go_live(
    version: ModelVersion,
    *,
    registry: ModelRegistry,
    shelf: ModelShelf,
    server: ModelServer,
) -> Live:
    """Publish a version, wait for the server, compare its golden answers, then move the alias.

    A new version that does not come to life, or answers otherwise than it did offline, is
    withdrawn, and the one before goes on answering. Killed at any step, the next call finishes the
    work. Raises SmartGridError naming the step that refused.
    """
    champion = registry.by_alias(version.name, CHAMPION)
    number = int(version.version)
    with tempfile.TemporaryDirectory() as folder:
        saved_model = registry.download(version, Path(folder))
        rows, offline = read_golden(saved_model)
        shelf.publish(saved_model, model=version.name, version=number)
    try:
        shelf.wait_until_live(version.name, number)
        served = server.predict(
            version.name, {name: rows[name].to_numpy() for name in rows.columns}, version=number
        )
        parity = golden_parity(served.frame, offline)
    except SmartGridError:
        if champion is None or champion.version != version.version:
            shelf.withdraw(version.name, number)
        raise
    registry.set_alias(version.name, CHAMPION, version.version)
    return Live(version, parity, tuple(shelf.prune(version.name)))
