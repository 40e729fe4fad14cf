"""The repository: its config is what counts, and a server that is away finds it later."""

from pathlib import Path

import pytest

from smartgrid_core.errors import ModelUnavailableError, PublicationError
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving.model_config import parse_config
from smartgrid_io.serving.model_repository import ModelServerRepository, ensure_config
from smartgrid_io.serving.publisher import publish_version


class Server:
    """Remembers the config it was told; knows one label's version."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.refusal: str | None = None
        self.version: str | None = None

    def reload_config(self, config: bytes) -> None:
        if self.refusal:
            raise ModelUnavailableError(self.refusal)
        self.told.append(config)

    def find_labelled_version(self, model: str, label: str) -> str | None:
        return self.version


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "saved_model.pb").write_text("graph")
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_a_change_is_in_the_file_and_told_to_the_server(base: Path):
    server = Server()
    repository = ModelServerRepository(str(base), server)
    assert repository.update_state("m", lambda served: served.add_trial(1)) == ServingState(
        "m", (1,)
    )
    assert repository.read_state("m") == ServingState("m", (1,))
    written = parse_config((base / "models.config").read_text())
    assert server.told == [written.SerializeToString()]
    assert written.model_config_list.config[0].base_path == str(base / "m")
    assert [path.name for path in base.iterdir() if path.name != ".lock"] == ["models.config"]


def test_a_server_that_is_away_or_refuses_is_named_where_the_label_is_waited_for(base: Path):
    server = Server()
    server.refusal = "UNAVAILABLE: away"
    repository = ModelServerRepository(str(base), server, patience_s=0.1)
    repository.update_state("m", lambda served: served.give_label(1))
    assert repository.read_state("m") == ServingState("m", (1,), stable=1)
    words = r"stable of m is not version 1 .* the label means nothing; UNAVAILABLE: away"
    with pytest.raises(PublicationError, match=words):
        repository.wait_until_labelled("m", "stable", 1)
    server.version = "1"
    repository.wait_until_labelled("m", "stable", 1)


def test_a_folder_from_before_there_were_labels_goes_on_answering(base: Path, saved_model: Path):
    for version in (1, 2, 5, 6):
        publish_version(saved_model, base=str(base), model="old", version=version)
    ensure_config(str(base))
    repository = ModelServerRepository(str(base), Server())
    assert repository.all_served() == [ServingState("old", (2, 5, 6), stable=6)]


def test_a_config_that_is_there_is_left_alone_and_an_empty_folder_gets_one(
    base: Path, saved_model: Path
):
    ensure_config(str(base))
    assert parse_config((base / "models.config").read_text()).HasField("model_config_list")
    publish_version(saved_model, base=str(base), model="m", version=1)
    ensure_config(str(base))
    assert ModelServerRepository(str(base), Server()).all_served() == []


def test_pruning_spares_what_is_served(base: Path, saved_model: Path):
    repository = ModelServerRepository(str(base), Server())
    for version in (1, 2, 3, 4, 5):
        repository.publish(saved_model, model="m", version=version)
    repository.update_state("m", lambda served: served.give_label(1))
    assert repository.prune("m") == [2]
    assert repository.list_versions("m") == [1, 3, 4, 5]


def test_a_name_that_leaves_the_folder_is_refused(base: Path):
    with pytest.raises(PublicationError, match="cannot name a model"):
        ModelServerRepository(str(base), Server()).update_state("../m", lambda served: served)
