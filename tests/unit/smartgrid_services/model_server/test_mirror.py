"""Version folders of a URL, with fsspec's file system in memory."""

import uuid

import fsspec
import pytest

from smartgrid_services.model_server.mirror import Mirror
from smartgrid_services.model_server.model_config import ModelConfig, Policy


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
    assert read(mirror.versions_of(bucket.model(Policy(newest=1)))) == {
        2: {"saved_model.pb": "02", "variables/index": "02"}
    }
    both = mirror.versions_of(bucket.model(Policy(newest=None)))
    assert sorted(both) == [1, 2]
    assert not list(tmp_path.rglob(".*"))


def test_a_version_that_is_still_written_is_none(bucket, tmp_path):
    bucket.put(3, "variables/index")
    mirror = Mirror(tmp_path)
    assert mirror.versions_of(bucket.model(Policy())) == {}
    bucket.put(3, "saved_model.pb")
    assert sorted(mirror.versions_of(bucket.model(Policy()))) == [3]


def test_a_version_that_was_withdrawn_is_dropped_here_too(bucket, tmp_path):
    bucket.put(1, "saved_model.pb")
    bucket.put(2, "saved_model.pb")
    mirror = Mirror(tmp_path)
    copy = mirror.versions_of(bucket.model(Policy()))[2]
    bucket.filesystem.rm(f"{bucket.path}/2", recursive=True)
    assert sorted(mirror.versions_of(bucket.model(Policy()))) == [1]
    assert not copy.exists()


def test_a_url_without_a_folder_is_not_found(bucket, tmp_path):
    with pytest.raises(FileNotFoundError):
        Mirror(tmp_path).versions_of(bucket.model(Policy()))


def test_a_copy_that_fails_is_tried_again(bucket, tmp_path, monkeypatch, caplog):
    bucket.put(1, "saved_model.pb")
    mirror = Mirror(tmp_path)
    with monkeypatch.context() as broken:

        def get(*_, **__):
            raise ConnectionError("the line was cut")

        broken.setattr(type(bucket.filesystem), "get", get)
        assert mirror.versions_of(bucket.model(Policy())) == {}
    assert "the line was cut" in caplog.text
    assert sorted(mirror.versions_of(bucket.model(Policy()))) == [1]
