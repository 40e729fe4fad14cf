"""A version gets its label only after it has proved equal, and what answered goes on answering."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from smartgrid_assets.models.going_live import go_live
from smartgrid_core.contracts.serving import LabelMoves
from smartgrid_core.errors import ConfigurationError, ModelUnavailableError, PublicationError
from smartgrid_core.model_protocols import ModelVersion, Quantiles
from smartgrid_core.rollout.labels import ServingState
from smartgrid_ml.export.artifact.golden import write_golden
from tests.unit.smartgrid_assets.model_repository import Shelf

MODEL = "load_forecaster"
NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
ROWS = pl.DataFrame({"lead_hours": [0.0, 1.0]}, schema={"lead_hours": pl.Float32})
OFFLINE = pl.DataFrame({"p10": [1.0, 1.5], "p50": [2.0, 2.5], "p90": [3.0, 3.5]})


class Registry:
    """Holds one model with its golden batch; remembers aliases."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}
        self.is_away = False

    def download(self, version: ModelVersion, folder: Path) -> Path:
        write_golden(folder, rows=ROWS, quantiles=OFFLINE)
        return folder

    def set_alias(self, name: str, alias: str, version: str) -> None:
        if self.is_away:
            raise ConfigurationError("MLflow does not answer")
        self.aliases[alias] = version


class Server:
    """Answers as it did offline, times a factor; or not at all."""

    def __init__(self) -> None:
        self.factor = 1.0
        self.is_away = False

    def predict(self, model, features, version):
        if self.is_away:
            raise ModelUnavailableError("nobody answers")
        return Quantiles(OFFLINE * self.factor, model, str(version))


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def repository() -> Shelf:
    return Shelf()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def publish(registry, repository, server, store):
    """Has one version go live."""

    def go(version: int):
        return go_live(
            ModelVersion(MODEL, str(version), "run"),
            registry=registry,
            repository=repository,
            server=server,
            journal=store,
            by="served_model",
            now=NOW,
        )

    return go


def test_the_first_version_is_stable_champion_and_on_record(publish, repository, registry, store):
    live = publish(1)
    assert (live.label, live.parity) == ("stable", 0.0)
    assert repository.now == ServingState(MODEL, (1,), stable=1)
    assert registry.aliases == {"champion": "1"}
    assert store.read(LabelMoves).rows() == [
        (MODEL, "stable", NOW, None, "1", "published", "golden answers differ by 0.0e+00 at most",
         "served_model"),
    ]  # fmt: skip


def test_a_later_version_is_a_canary_and_the_champion_stays(publish, repository, registry):
    publish(1)
    assert publish(2).label == "canary"
    assert repository.now == ServingState(MODEL, (1, 2), stable=1, canary=2)
    assert registry.aliases == {"champion": "1"}


def test_to_go_live_again_changes_nothing(publish, repository, store):
    publish(1)
    publish(2)
    before, noted = repository.now, store.read(LabelMoves)
    assert [publish(1).label, publish(2).label] == ["stable", "canary"]
    assert repository.now == before
    assert store.read(LabelMoves).equals(noted)


def test_a_version_that_answers_otherwise_is_withdrawn(publish, repository, server, registry):
    publish(1)
    server.factor = 1.001
    with pytest.raises(PublicationError, match="parity: p90 of golden row 1"):
        publish(2)
    assert (repository.versions, repository.now) == ({1}, ServingState(MODEL, (1,), stable=1))
    assert registry.aliases == {"champion": "1"}


def test_a_new_version_that_does_not_answer_is_withdrawn(publish, repository, server):
    server.is_away = True
    with pytest.raises(ModelUnavailableError):
        publish(1)
    assert (repository.versions, repository.now) == (set(), ServingState(MODEL))


def test_what_is_labelled_is_never_withdrawn_for_a_server_that_is_away(publish, repository, server):
    publish(1)
    publish(2)
    server.is_away = True
    for version in (1, 2):
        with pytest.raises(ModelUnavailableError):
            publish(version)
    assert repository.now == ServingState(MODEL, (1, 2), stable=1, canary=2)


def test_what_could_not_follow_the_label_follows_with_the_next_run(publish, registry, store):
    registry.is_away = True
    with pytest.raises(PublicationError, match=r"answers as stable, but .* MLflow does not answer"):
        publish(1)
    registry.is_away = False
    store.tables.clear()
    publish(1)
    assert registry.aliases == {"champion": "1"}
    assert store.read(LabelMoves)["version_after"].to_list() == ["1"]
