"""What a config file and the folders make of the manager, with servables that only pretend."""

import logging
import threading
from pathlib import Path

import pytest

from smartgrid_core.errors import ServerError
from smartgrid_services.model_server.model_config import parse_model_config
from smartgrid_services.model_server.status import Code, ServingError
from smartgrid_services.model_server.version_manager import VersionManager
from smartgrid_services.model_server.watch import ModelSources, ModelWatch


class Pretended:
    signatures: dict = {}  # noqa: RUF012  # a protocol's attribute, never changed
    signature_map = None
    is_steady = True

    def run(self, signature, inputs, outputs):
        return {}

    def close(self):
        pass


def load(folder: Path):
    if (folder / "saved_model.pb").read_text() == "bad":
        raise ServingError(Code.DATA_LOSS, "bad content")
    return Pretended()


class Place:
    """A base path with models, and a watch over it that reads the config at every look."""

    def __init__(self, base: Path, **sources):
        self.base = base
        self.config = base / "models.config"
        self.manager = VersionManager(load, keep=2)
        usual = {"base_path": base, "config_file": self.config, "config_poll_seconds": 1e-9}
        self.watch = ModelWatch(self.manager, ModelSources(**{**usual, **sources}))

    def put(self, model, version, content="good"):
        folder = self.base / model / str(version)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(content)

    def configure(self, **models):
        self.config.write_text(self.text(**models))

    def text(self, **models):
        configs = "".join(
            f'config {{ name: "{name}" base_path: "{self.base / name}" '
            f'model_platform: "tensorflow" {more} }}'
            for name, more in models.items()
        )
        return f"model_config_list {{ {configs} }}"

    def live(self):
        self.watch.look()
        return self.manager.list_live()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


STABLE_1 = 'version_labels { key: "stable" value: 1 }'
STABLE_2 = 'version_labels { key: "stable" value: 2 }'


def test_models_that_the_file_does_not_list_follow_the_folders(place):
    for version in (1, 2, 3):
        place.put("listed", version)
        place.put("other", version)
    assert place.live() == {"listed": [3, 2], "other": [3, 2]}
    place.configure(listed="model_version_policy { specific { versions: 1 } }")
    assert place.live() == {"listed": [1], "other": [3, 2]}


def test_with_a_file_that_was_named_only_its_models_are_served(tmp_path):
    place = Place(tmp_path, base_path=None, config_required=True)
    place.put("listed", 1)
    place.put("other", 1)
    place.configure(listed="")
    assert place.live() == {"listed": [1]}


@pytest.mark.parametrize("content", ["model_config_list { config {", "", None])
def test_a_file_that_is_corrupt_or_gone_changes_nothing_and_is_logged_once(place, content, caplog):
    place.put("m", 1)
    place.put("m", 2)
    place.configure(m=f"model_version_policy {{ specific {{ versions: 1 }} }} {STABLE_1}")
    assert place.live() == {"m": [1]}
    if content is None:
        place.config.unlink()
    else:
        place.config.write_text(content)
    with caplog.at_level(logging.ERROR):
        assert place.live() == {"m": [1]}
        assert place.live() == {"m": [1]}
    assert place.manager.list_labels() == {"m": {"stable": 1}}
    assert len(caplog.records) == 1
    assert str(place.config) in caplog.text
    assert place.watch.list_reasons() == []
    assert str(place.config) in place.watch.find_config_trouble()
    place.configure(m="")
    assert place.live() == {"m": [2]}
    assert place.watch.find_config_trouble() is None


def test_a_label_that_moves_waits_for_its_version(place):
    place.put("m", 1)
    place.configure(m=STABLE_1)
    assert place.live() == {"m": [1]}
    place.configure(m=STABLE_2 + "model_version_policy { all {} }")
    assert place.live() == {"m": [1]}
    assert (
        "version 2 of model m, which is not currently available"
        in place.watch.find_config_trouble()
    )
    place.put("m", 2)
    assert place.live() == {"m": [2]}
    assert place.live() == {"m": [2, 1]}
    assert place.manager.list_labels() == {"m": {"stable": 2}}


def test_readiness_names_every_model_and_label_that_does_not_answer(place):
    place.put("m", 1)
    place.put("broken", 4, "bad")
    place.configure(m=STABLE_1 + 'version_labels { key: "canary" value: 2 }', broken="", nowhere="")
    place.watch.look()
    assert place.watch.list_reasons() == [
        "model broken: no version is AVAILABLE: version 4 is END: bad content",
        "model nowhere: no version is AVAILABLE: Could not find base path "
        f"{place.base / 'nowhere'} for servable nowhere",
        "model m: label canary points to version 2, which is not AVAILABLE",
    ]
    place.put("m", 2)
    place.configure(m='version_labels { key: "canary" value: 2 }')
    place.watch.look()
    assert place.watch.list_reasons() == []


def test_a_folder_that_vanishes_takes_nothing_from_a_configured_model(place):
    place.put("m", 1)
    place.configure(m="")
    assert place.live() == {"m": [1]}
    (place.base / "m").rename(place.base / ".away")
    assert place.live() == {"m": [1]}


def test_a_file_read_once_must_be_there(tmp_path):
    place = Place(tmp_path, base_path=None, config_required=True, config_poll_seconds=0)
    with pytest.raises(ServerError, match="No such file or directory"):
        place.watch.look()


class Looking:
    """Looks without pause, as the server's thread does, until the block ends."""

    def __init__(self, watch):
        self._watch = watch
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._ended.is_set():
            self._watch.look()
            self._watch.wait(0.01)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


def test_a_sent_config_holds_until_the_file_changes(place):
    place.put("m", 1)
    place.put("m", 2)
    place.put("n", 1)
    place.configure(m="")
    assert place.live() == {"m": [2], "n": [1]}
    with Looking(place.watch):
        sent = parse_model_config(place.text(m="model_version_policy { all {} }", n=STABLE_1))
        place.watch.reload(sent, timeout=10)
        assert place.manager.list_live() == {"m": [2, 1], "n": [1]}
        assert place.manager.list_labels() == {"n": {"stable": 1}}
        place.watch.reload(parse_model_config(place.text(n="")), timeout=10)
        assert place.manager.list_live() == {"n": [1]}
    place.configure(m="model_version_policy { specific { versions: 1 } }")
    assert place.live() == {"m": [1], "n": [1]}


def test_the_file_sent_as_it_is_leaves_models_that_it_does_not_list_to_the_folders(place):
    place.put("a", 1)
    place.put("b", 1)
    place.configure(a="")
    with Looking(place.watch):
        place.watch.reload(parse_model_config(place.text(a="")), timeout=10)
        assert place.manager.list_live() == {"a": [1], "b": [1]}
        place.put("a", 2)
        place.configure(a=STABLE_1 + "model_version_policy { all {} }")
        place.watch.reload(parse_model_config(place.config.read_text()), timeout=10)
        assert place.manager.list_live() == {"a": [2, 1], "b": [1]}
        assert place.manager.list_labels() == {"a": {"stable": 1}}


def test_a_sent_config_tells_which_new_model_does_not_answer(place):
    place.put("m", 1)
    place.put("broken", 4, "bad")
    place.configure(m=STABLE_1)
    place.watch.look()
    with Looking(place.watch):
        with pytest.raises(ServingError) as refusal:
            place.watch.reload(
                parse_model_config(place.text(m=STABLE_1, broken="", nowhere="")), timeout=10
            )
        assert refusal.value.code is Code.UNKNOWN
        assert refusal.value.message == (
            "2 model(s) did not become available: {{name: broken} due to error: version 4 is END: "
            "bad content, {name: nowhere} due to error: Could not find base path "
            f"{place.base / 'nowhere'} for servable nowhere}}"
        )
        with pytest.raises(ServingError, match="not currently available for inference"):
            place.watch.reload(parse_model_config(place.text(m=STABLE_2)), timeout=10)
    assert place.manager.list_live()["m"] == [1]


def test_a_sent_config_waits_no_longer_than_its_caller(place):
    with pytest.raises(ServingError) as refusal:
        place.watch.reload(parse_model_config(place.text(m="")), timeout=0.05)
    assert refusal.value.code is Code.DEADLINE_EXCEEDED


class Vanishing(dict):
    """Troubles of which another thread finds, between two looks at one, that it is over."""

    def __contains__(self, name):
        found = super().__contains__(name)
        self.pop(name, None)
        return found


def test_a_trouble_that_ends_while_readiness_is_asked_for_does_no_harm(place):
    place.configure(m="")
    place.watch.look()
    place.watch._trouble = Vanishing(place.watch._trouble)
    assert place.watch.list_reasons() == [
        "model m: no version is AVAILABLE: "
        f"Could not find base path {place.base / 'm'} for servable m"
    ]
