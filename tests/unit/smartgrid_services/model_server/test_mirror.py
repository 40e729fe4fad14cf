"""Version folders of a URL, with fsspec's file system in memory."""

import os
import time
import uuid
from contextlib import contextmanager

import fsspec
import pytest

from smartgrid_services.model_server.mirror import Mirror
from smartgrid_services.model_server.model_config import ModelConfig, VersionPolicy
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


class Bucket:
    """A model's folder in memory."""

    def __init__(self):
        self.url = f"memory://{uuid.uuid4().hex}/m"
        self.filesystem, self.path = fsspec.url_to_fs(self.url)

    def put(self, version, *files, content="graph"):
        for file in files:
            self.filesystem.pipe(f"{self.path}/{version}/{file}", content.encode())

    def model(self, policy):
        return ModelConfig("m", self.url, policy)


@pytest.fixture
def bucket():
    return Bucket()


def read(versions):
    return {
        version: {
            path.relative_to(folder).as_posix(): path.read_text()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for version, folder in versions.items()
    }


def test_versions_that_shall_answer_are_copied_whole(bucket, tmp_path):
    for version in ("1", "02", "latest"):
        bucket.put(version, "variables/index", "saved_model.pb", content=version)
    mirror = Mirror(tmp_path)
    assert read(mirror.copy_versions(bucket.model(VersionPolicy(newest=1)))) == {
        2: {"saved_model.pb": "02", "variables/index": "02"}
    }
    both = mirror.copy_versions(bucket.model(VersionPolicy(newest=None)))
    assert sorted(both) == [1, 2]
    assert not list(tmp_path.rglob(".*"))


def test_a_version_that_is_still_written_is_none(bucket, tmp_path):
    bucket.put(3, "variables/index")
    mirror = Mirror(tmp_path)
    assert mirror.copy_versions(bucket.model(VersionPolicy())) == {}
    bucket.put(3, "saved_model.pb")
    assert sorted(mirror.copy_versions(bucket.model(VersionPolicy()))) == [3]


def test_a_version_that_was_withdrawn_is_dropped_here_too(bucket, tmp_path):
    bucket.put(1, "saved_model.pb")
    bucket.put(2, "saved_model.pb")
    mirror = Mirror(tmp_path)
    copy = mirror.copy_versions(bucket.model(VersionPolicy()))[2]
    bucket.filesystem.rm(f"{bucket.path}/2", recursive=True)
    assert sorted(mirror.copy_versions(bucket.model(VersionPolicy()))) == [1]
    assert not copy.exists()


def test_what_another_server_copies_just_now_is_spared_and_what_was_given_up_is_not(
    bucket, tmp_path
):
    bucket.put(1, "saved_model.pb")
    mirror = Mirror(tmp_path)
    place = mirror.copy_versions(bucket.model(VersionPolicy()))[1].parent
    begun, given_up = place / ".2-begun", place / ".2-given-up"
    long_ago = time.time() - 24 * 3600
    for fresh in (begun, given_up):
        (fresh / "variables").mkdir(parents=True)
        (fresh / "variables" / "index").write_text("half")
        for path in (fresh / "variables", fresh):
            os.utime(path, (long_ago, long_ago))
    os.utime(given_up / "variables" / "index", (long_ago, long_ago))
    mirror.copy_versions(bucket.model(VersionPolicy()))
    assert begun.exists()
    assert not given_up.exists()


def test_of_two_servers_that_copy_a_version_at_once_both_have_it(bucket, tmp_path, monkeypatch):
    bucket.put(1, "saved_model.pb")
    model, whole = bucket.model(VersionPolicy()), type(bucket.filesystem).get

    def get(*arguments, **options):
        whole(*arguments, **options)
        with monkeypatch.context() as alone:
            alone.setattr(type(bucket.filesystem), "get", whole)
            Mirror(tmp_path).copy_versions(model)

    monkeypatch.setattr(type(bucket.filesystem), "get", get)
    assert read(Mirror(tmp_path).copy_versions(model)) == {1: {"saved_model.pb": "graph"}}
    assert not list(tmp_path.rglob(".*"))


def test_a_url_without_a_folder_is_not_found(bucket, tmp_path):
    with pytest.raises(FileNotFoundError):
        Mirror(tmp_path).copy_versions(bucket.model(VersionPolicy()))


@pytest.fixture
def cut_off(bucket, monkeypatch):
    """`with cut_off(2):` nothing of version 2 can be copied."""

    @contextmanager
    def cut(*versions):
        whole = type(bucket.filesystem).get

        def get(filesystem, remote, *arguments, **options):
            if int(remote.rstrip("/").rpartition("/")[2]) in versions:
                raise ConnectionError("the line was cut")
            return whole(filesystem, remote, *arguments, **options)

        with monkeypatch.context() as broken:
            broken.setattr(type(bucket.filesystem), "get", get)
            yield

    return cut


def test_a_copy_that_fails_takes_no_place_and_is_tried_again(bucket, tmp_path, cut_off, caplog):
    bucket.put(1, "saved_model.pb")
    mirror = Mirror(tmp_path)
    live = mirror.copy_versions(bucket.model(VersionPolicy()))
    bucket.put(2, "saved_model.pb")
    with cut_off(2):
        assert mirror.copy_versions(bucket.model(VersionPolicy())) == live
    assert "the line was cut" in caplog.text
    assert sorted(mirror.copy_versions(bucket.model(VersionPolicy()))) == [2]


def test_an_older_version_is_copied_in_the_place_of_one_that_cannot_be(bucket, tmp_path, cut_off):
    for version in (1, 2, 3):
        bucket.put(version, "saved_model.pb")
    with cut_off(2):
        assert sorted(Mirror(tmp_path).copy_versions(bucket.model(VersionPolicy(newest=2)))) == [
            1,
            3,
        ]


def test_nothing_is_said_of_a_model_of_which_no_wanted_version_can_be_copied(
    bucket, tmp_path, cut_off
):
    bucket.put(1, "saved_model.pb")
    mirror = Mirror(tmp_path)
    only_1, only_2 = (
        bucket.model(VersionPolicy(newest=None, specific=frozenset({version})))
        for version in (1, 2)
    )
    copy = mirror.copy_versions(only_1)[1]
    bucket.put(2, "saved_model.pb")
    with cut_off(2), pytest.raises(OSError, match=r"no version can be copied .* answer: 2"):
        mirror.copy_versions(only_2)
    assert copy.exists()
    assert sorted(mirror.copy_versions(only_2)) == [2]


def test_a_live_version_answers_on_while_its_successor_cannot_be_copied(bucket, tmp_path, cut_off):
    bucket.put(1, "saved_model.pb")
    manager = VersionManager(lambda _: Pretended(), keep=1)
    only = {"specific": 1}

    def look():
        policy = VersionPolicy(newest=None, specific=frozenset({only["specific"]}))
        watch = ModelWatch(manager, ModelSources(models={"m": bucket.model(policy)}, mirror=mirror))
        watch.look()
        return manager.list_live(), watch.list_reasons()

    mirror = Mirror(tmp_path)
    assert look() == ({"m": [1]}, [])
    bucket.put(2, "saved_model.pb")
    only["specific"] = 2
    with cut_off(2):
        assert look() == ({"m": [1]}, [])
    assert look() == ({"m": [2]}, [])
