"""A version goes live only after it has proved equal."""

from pathlib import Path

import polars as pl
import pytest

from smartgrid_assets.models.going_live import go_live
from smartgrid_core.errors import ModelUnavailableError, PublicationError
from smartgrid_core.ports import ModelVersion, Quantiles
from smartgrid_ml.export.golden import write_golden

VERSION = ModelVersion("load_forecaster", "3", "run")
ROWS = pl.DataFrame({"lead_hours": [0.0, 1.0]}, schema={"lead_hours": pl.Float32})
OFFLINE = pl.DataFrame({"p10": [1.0, 1.5], "p50": [2.0, 2.5], "p90": [3.0, 3.5]})


class Registry:
    """Holds one model with its golden batch; remembers aliases."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}

    def download(self, version: ModelVersion, folder: Path) -> Path:
        write_golden(folder, rows=ROWS, quantiles=OFFLINE)
        return folder

    def by_alias(self, name: str, alias: str) -> ModelVersion | None:
        version = self.aliases.get(alias)
        return ModelVersion(name, version, "run") if version else None

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases[alias] = version


class Shelf:
    """Remembers what is on it."""

    def __init__(self) -> None:
        self.versions = [1, 2]

    def publish(self, saved_model: Path, *, model: str, version: int) -> Path:
        self.versions.append(version)
        return saved_model

    def wait_until_live(self, model: str, version: int) -> None:
        assert version in self.versions

    def withdraw(self, model: str, version: int) -> None:
        self.versions.remove(version)

    def prune(self, model: str) -> list[int]:
        return []


class Server:
    """Answers as it did offline, times a factor."""

    def __init__(self, *, factor: float) -> None:
        self.factor = factor

    def predict(self, model, features, version=None):
        assert version == 3
        return Quantiles(OFFLINE * self.factor, model, "3")


def test_a_version_that_answers_as_it_did_offline_becomes_the_champion():
    registry, shelf = Registry(), Shelf()
    live = go_live(VERSION, registry=registry, shelf=shelf, server=Server(factor=1.0))
    assert live.parity == 0.0
    assert shelf.versions == [1, 2, 3]
    assert registry.aliases == {"champion": "3"}


def test_a_version_that_answers_otherwise_is_withdrawn_and_the_champion_stays():
    registry, shelf = Registry(), Shelf()
    with pytest.raises(PublicationError, match="parity: p90 of golden row 1"):
        go_live(VERSION, registry=registry, shelf=shelf, server=Server(factor=1.001))
    assert shelf.versions == [1, 2]
    assert registry.aliases == {}


class ServerThatIsAway:
    def predict(self, model, features, version=None):
        raise ModelUnavailableError("nobody answers")


def test_a_new_version_that_does_not_answer_is_withdrawn():
    registry, shelf = Registry(), Shelf()
    with pytest.raises(ModelUnavailableError):
        go_live(VERSION, registry=registry, shelf=shelf, server=ServerThatIsAway())
    assert shelf.versions == [1, 2]


def test_the_champion_is_never_withdrawn_for_a_server_that_is_away():
    registry, shelf = Registry(), Shelf()
    registry.set_alias(VERSION.name, "champion", VERSION.version)
    with pytest.raises(ModelUnavailableError):
        go_live(VERSION, registry=registry, shelf=shelf, server=ServerThatIsAway())
    assert 3 in shelf.versions
