"""Which versions answer, with servables that only pretend."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_services.model_server.model_config import VersionPolicy
from smartgrid_services.model_server.status import Code, ServingError
from smartgrid_services.model_server.version_manager import (
    LoadRetry,
    State,
    VersionManager,
    VersionState,
)


class Pretended:
    """A servable that knows whether it was closed."""

    signatures: dict = {}  # noqa: RUF012  # a protocol's attribute, never changed
    signature_map = None
    is_steady = True

    def __init__(self, folder):
        self.folder = folder
        self.closed = False

    def run(self, signature, inputs, outputs):
        assert not self.closed
        return {}

    def close(self):
        assert not self.closed, "closed twice"
        self.closed = True


class Shelf:
    """Version folders on disk and the loader that reads them; "bad" content is refused."""

    def __init__(self, base):
        self.base = base
        self.loaded = []
        self.watch = lambda: None

    def put(self, version, content="good"):
        folder = self.base / str(version)
        folder.mkdir(exist_ok=True)
        (folder / "saved_model.pb").write_text(content)

    def take(self, version):
        (self.base / str(version) / "saved_model.pb").unlink()
        (self.base / str(version)).rmdir()

    def load(self, folder: Path):
        self.watch()
        content = (folder / "saved_model.pb").read_text()
        if content.startswith("bad"):
            raise ServingError(Code.DATA_LOSS, f"{content} content")
        if content.startswith("broken"):
            raise ZeroDivisionError("by zero")
        self.loaded.append(Pretended(folder))
        return self.loaded[-1]

    def found(self):
        return {"m": {int(folder.name): folder for folder in self.base.iterdir()}}

    def open(self):
        return sorted(int(one.folder.name) for one in self.loaded if not one.closed)


@pytest.fixture
def repository(tmp_path):
    return Shelf(tmp_path)


def test_the_newest_versions_are_kept_and_the_newest_answers(repository):
    for version in (1, 2, 10):
        repository.put(version)
    manager = VersionManager(repository.load, keep=2)
    manager.refresh(repository.found())
    assert manager.list_live() == {"m": [10, 2]}
    with manager.hold("m") as newest, manager.hold("m", 2) as named:
        assert (newest.version, named.version) == (10, 2)


def test_a_new_version_is_live_before_an_old_one_is_let_go_of(repository):
    repository.put(1)
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(repository.found())
    seen = []
    repository.watch = lambda: seen.append(manager.list_live())
    repository.put(2)
    manager.refresh(repository.found())
    assert seen == [{"m": [1]}]
    assert manager.list_live() == {"m": [2]}
    assert repository.open() == [2]


def test_a_held_version_is_closed_when_the_last_request_has_ended(repository):
    repository.put(1)
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(repository.found())
    with manager.hold("m") as first:
        with manager.hold("m", 1):
            repository.put(2)
            manager.refresh(repository.found())
        assert not first.servable.closed
        assert manager.list_states("m") == [
            VersionState(2, State.AVAILABLE),
            VersionState(1, State.UNLOADING),
        ]
    assert first.servable.closed
    assert manager.list_states("m", 1) == [VersionState(1, State.END)]


def test_a_refused_version_stays_in_the_status_until_its_folder_changes(repository):
    repository.put(1)
    repository.put(2, "bad")
    attempts = []
    repository.watch = lambda: attempts.append(1)
    manager = VersionManager(repository.load, keep=2)
    for _ in range(3):
        manager.refresh(repository.found())
    assert len(attempts) == 2
    assert manager.list_states("m") == [
        VersionState(2, State.END, Code.DATA_LOSS, "bad content"),
        VersionState(1, State.AVAILABLE),
    ]
    repository.put(2, "mended")
    manager.refresh(repository.found())
    assert manager.list_live() == {"m": [2, 1]}


def test_a_refused_version_takes_no_place_from_one_that_answers(repository):
    for version in (1, 2):
        repository.put(version)
    manager = VersionManager(repository.load, keep=2)
    manager.refresh(repository.found())
    repository.put(3, "bad")
    manager.refresh(repository.found())
    assert manager.list_live() == {"m": [2, 1]}


def test_a_loader_that_breaks_harms_no_other_version(repository):
    repository.put(1)
    repository.put(2, "broken")
    manager = VersionManager(repository.load, keep=2)
    manager.refresh(repository.found())
    assert manager.list_live() == {"m": [1]}
    assert manager.list_states("m", 2) == [
        VersionState(2, State.END, Code.INTERNAL, "ZeroDivisionError: by zero")
    ]


def test_a_failed_load_is_tried_again_so_often_and_so_late_as_it_is_set(repository):
    now = [0.0]
    attempts = []
    repository.watch = lambda: attempts.append(now[0])
    repository.put(1, "bad")
    manager = VersionManager(
        repository.load, keep=1, retry=LoadRetry(times=2, seconds=60), clock=lambda: now[0]
    )
    for second in range(0, 600, 20):
        now[0] = float(second)
        manager.refresh(repository.found())
    assert attempts == [0.0, 60.0, 120.0]
    assert manager.list_states("m") == [VersionState(1, State.END, Code.DATA_LOSS, "bad content")]
    repository.put(1, "bad again")
    manager.refresh(repository.found())
    assert len(attempts) == 4


def test_specific_versions_answer_and_no_others(repository):
    for version in (1, 2, 3):
        repository.put(version)
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(
        repository.found(), {"m": VersionPolicy(newest=None, specific=frozenset({1, 2}))}
    )
    assert manager.list_live() == {"m": [2, 1]}
    manager.refresh(repository.found(), {"m": VersionPolicy(newest=None)})
    assert manager.list_live() == {"m": [3, 2, 1]}
    manager.refresh(repository.found(), {"m": VersionPolicy(newest=None, specific=frozenset({9}))})
    assert manager.list_live() == {}
    assert repository.open() == []


def test_a_version_answers_until_one_of_those_that_replace_it_does(repository):
    repository.put(1)
    repository.put(2, "bad")
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(repository.found(), {"m": VersionPolicy(newest=None, specific=frozenset({1}))})
    manager.refresh(repository.found(), {"m": VersionPolicy(newest=None, specific=frozenset({2}))})
    assert manager.list_live() == {"m": [1]}
    repository.put(2, "good as of now")
    manager.refresh(repository.found(), {"m": VersionPolicy(newest=None, specific=frozenset({2}))})
    assert manager.list_live() == {"m": [2]}


def test_a_label_is_held_by_its_version(repository):
    for version in (1, 2):
        repository.put(version)
    manager = VersionManager(repository.load, keep=2)
    manager.refresh(repository.found())
    manager.assign({"m": {"stable": 1, "canary": 2}}, new_anywhere=False)
    with manager.hold("m", label="stable") as stable, manager.hold("m", label="canary") as canary:
        assert (stable.version, canary.version) == (1, 2)
    for model, label in (("m", "other"), ("n", "stable")):
        with (
            pytest.raises(
                ServingError, match=f"Unrecognized servable version label: {label}"
            ) as no,
            manager.hold(model, label=label),
        ):
            pass
        assert no.value.code is Code.INVALID_ARGUMENT


def test_a_label_moves_only_to_a_version_that_answers(repository):
    repository.put(1)
    manager = VersionManager(repository.load, keep=2)
    with pytest.raises(ServingError, match="version 1 of model m, which is not currently avail"):
        manager.assign({"m": {"stable": 1}}, new_anywhere=False)
    manager.assign({"m": {"stable": 1}}, new_anywhere=True)
    with pytest.raises(ServingError, match=r"Specific\(m, 1\)"), manager.hold("m", label="stable"):
        pass
    manager.refresh(repository.found())
    with pytest.raises(ServingError) as refusal:
        manager.assign({"m": {"stable": 2, "canary": 1}}, new_anywhere=True)
    assert refusal.value.code is Code.FAILED_PRECONDITION
    assert manager.list_labels() == {"m": {"stable": 1}}
    repository.put(2)
    manager.refresh(repository.found())
    manager.assign({"m": {"stable": 2, "canary": 1}}, new_anywhere=True)
    assert manager.list_labels() == {"m": {"stable": 2, "canary": 1}}


def test_a_withdrawn_version_gives_way_to_the_one_before(repository):
    for version in (1, 2):
        repository.put(version)
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(repository.found())
    repository.take(2)
    manager.refresh(repository.found())
    assert manager.list_live() == {"m": [1]}
    assert repository.open() == [1]


def test_a_replaced_folder_is_loaded_again_and_a_bad_one_leaves_the_old(repository):
    repository.put(1)
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(repository.found())
    repository.put(1, "other content")
    manager.refresh(repository.found())
    assert [one.closed for one in repository.loaded] == [True, False]
    repository.put(1, "bad as of now")
    manager.refresh(repository.found())
    assert manager.list_live() == {"m": [1]}
    assert repository.open() == [1]


def test_a_model_that_cannot_be_read_stays_and_one_that_is_gone_goes(repository):
    repository.put(1)
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(repository.found())
    manager.refresh({"m": None})
    assert manager.list_live() == {"m": [1]}
    manager.refresh({})
    assert manager.list_live() == {}
    assert repository.open() == []


def test_what_is_not_there_is_not_found_by_name(repository):
    repository.put(1)
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(repository.found())
    asked = {
        "Servable not found for request: Latest(n)": lambda: manager.hold("n").__enter__(),
        "Servable not found for request: Specific(m, 7)": lambda: manager.hold("m", 7).__enter__(),
        "Could not find any versions of model n": lambda: manager.list_states("n"),
        "Could not find version 7 of model m": lambda: manager.list_states("m", 7),
    }
    for words, ask in asked.items():
        with pytest.raises(ServingError) as refusal:
            ask()
        assert (refusal.value.code, refusal.value.message) == (Code.NOT_FOUND, words)


def test_unloaded_versions_are_remembered_but_not_for_ever(repository):
    manager = VersionManager(repository.load, keep=1)
    for version in range(1, 21):
        repository.put(version)
        manager.refresh(repository.found())
    assert [state.version for state in manager.list_states("m")] == list(range(20, 11, -1))


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(["good", "bad", "gone", "hold", "release"])),
        max_size=25,
    ),
    keep=st.integers(1, 3),
)
def test_whatever_happens_the_newest_that_load_answer_and_nothing_leaks(
    tmp_path_factory, steps, keep
):
    repository = Shelf(tmp_path_factory.mktemp("repository"))
    manager = VersionManager(repository.load, keep=keep)
    contents, held = {}, []
    for number, (version, happening) in enumerate(steps):
        if happening in {"good", "bad"}:
            contents[version] = happening
            repository.put(version, happening + "." * (number + 1))
        elif happening == "gone" and contents.pop(version, None):
            repository.take(version)
        elif happening == "hold" and manager.list_live():
            hold = manager.hold("m")
            held.append((hold, hold.__enter__()))
        elif happening == "release" and held:
            held.pop(0)[0].__exit__(None, None, None)
        before = set(manager.list_live().get("m", []))
        manager.refresh(repository.found())
        loadable = {v for v in contents if contents[v] == "good" or v in before}
        if contents and not loadable:
            # Nothing could take the place of what answered.
            loadable = before
        assert manager.list_live().get("m", []) == sorted(loadable, reverse=True)[:keep]
        assert all(not live.servable.closed for _, live in held)
    for hold, _ in held:
        hold.__exit__(None, None, None)
    assert repository.open() == sorted(manager.list_live().get("m", []))
    manager.close()
    assert repository.open() == []


def test_requests_of_many_threads_never_meet_a_closed_version(repository):
    repository.put(1)
    manager = VersionManager(repository.load, keep=1)
    manager.refresh(repository.found())
    ended, failures = threading.Event(), []

    def ask():
        while not ended.is_set():
            try:
                with manager.hold("m") as live:
                    live.servable.run(None, {}, [])
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(2, 60):
        repository.put(version)
        manager.refresh(repository.found())
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert repository.open() == [59]
