"""The model folder in a bucket: the same promises as on a disk."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from smartgrid_assets.serving.assets import read_served
from smartgrid_cli.commands.status import read_served_models
from smartgrid_core.errors import PublicationError
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.file_store import S3FileStore
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.config_mirror import ConfigMirror
from smartgrid_io.serving.model_config import parse_config
from smartgrid_io.serving.model_folder import S3ModelFolder
from smartgrid_io.serving.model_repository import ModelServerRepository, ensure_config
from smartgrid_io.serving.publisher import (
    list_published_versions,
    prune_versions,
    publish_version,
    withdraw_version,
)
from smartgrid_io.serving.readiness import ask_readiness

BASE = "s3://models/served"


class Server:
    """Takes any config."""

    def reload_config(self, config: bytes) -> None:
        self.told = config


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """An empty bucket `models`, found by the environment as in production."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    made = boto3.resource("s3", endpoint_url=s3, region_name="us-east-1").Bucket("models")
    made.create()
    yield made
    made.objects.delete()
    made.delete()


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text("graph")
    (folder / "variables" / "variables.index").write_text("index")
    (folder / "zz_last_by_name").write_text("asset")
    return folder


def keys(bucket) -> list[str]:
    return sorted(each.key for each in bucket.objects.all())


def test_versions_are_published_never_overwritten_withdrawn_and_pruned(bucket, saved_model):
    place = publish_version(saved_model, base=BASE, model="m", version=1)
    assert place == f"{BASE}/m/1"
    assert keys(bucket) == [
        "served/m/1/saved_model.pb",
        "served/m/1/variables/variables.index",
        "served/m/1/zz_last_by_name",
    ]
    assert publish_version(saved_model, base=BASE, model="m", version=1) == place
    for version in (2, 3, 4, 10):
        publish_version(saved_model, base=BASE, model="m", version=version)
    (saved_model / "saved_model.pb").write_text("another graph")
    with pytest.raises(PublicationError, match="exists with other content"):
        publish_version(saved_model, base=BASE, model="m", version=1)

    withdraw_version(base=BASE, model="m", version=10)
    assert prune_versions(base=BASE, model="m", spare=[1]) == []
    assert prune_versions(base=BASE, model="m") == [1]
    assert list_published_versions(base=BASE, model="m") == [2, 3, 4]
    assert S3ModelFolder(BASE).list_models() == ["m"]


def test_an_upload_that_was_cut_short_is_no_version_and_is_done_again(
    bucket, saved_model, monkeypatch
):
    publish_version(saved_model, base=BASE, model="m", version=1)
    with monkeypatch.context() as patched:
        put = S3FileStore.put

        def fails_at_the_graph(self, source: Path, file: str) -> None:
            if file.endswith("saved_model.pb"):
                raise OSError("the connection broke")
            put(self, source, file)

        patched.setattr(S3FileStore, "put", fails_at_the_graph)
        with pytest.raises(PublicationError, match="the connection broke"):
            publish_version(saved_model, base=BASE, model="m", version=2)
    assert [key for key in keys(bucket) if key.startswith("served/m/2/")]
    assert list_published_versions(base=BASE, model="m") == [1]

    publish_version(saved_model, base=BASE, model="m", version=3)
    assert [key for key in keys(bucket) if key.startswith("served/m/2/")], "may still be at work"
    monkeypatch.setattr("smartgrid_io.serving.model_folder.LEFTOVER_AGE_S", 0.0)
    S3ModelFolder(BASE).sweep("m")
    assert [key for key in keys(bucket) if key.startswith("served/m/2/")] == []
    assert list_published_versions(base=BASE, model="m") == [1, 3]


def test_labels_move_in_the_buckets_config(bucket, saved_model):
    ensure_config(BASE)
    server = Server()
    repository = ModelServerRepository(BASE, server)
    for version in (1, 2):
        repository.publish(saved_model, model="m", version=version)
        repository.update_state("m", lambda served, version=version: served.add_trial(version))
        repository.update_state("m", lambda served, version=version: served.give_label(version))
    assert repository.read_state("m") == ServingState("m", (1, 2), stable=1, canary=2)
    assert repository.update_state("m", lambda served: served.roll_back()).labels == {"stable": 1}
    text = bucket.Object("served/models.config").get()["Body"].read().decode()
    assert parse_config(text).model_config_list.config[0].base_path == f"{BASE}/m"
    assert server.told == parse_config(text).SerializeToString()


def test_of_two_that_change_the_config_at_once_neither_loses_its_change(bucket):
    server = Server()
    mine, operators = ModelServerRepository(BASE, server), ModelServerRepository(BASE, Server())
    for version in (1, 2):
        mine.update_state("m", lambda served, version=version: served.give_label(version))
    seen = []

    def offered_while_an_operator_rolls_back(served: ServingState) -> ServingState:
        seen.append(served)
        if len(seen) == 1:
            operators.update_state("m", lambda now: now.roll_back())
        return served.add_trial(3)

    after = mine.update_state("m", offered_while_an_operator_rolls_back)
    assert [each.canary for each in seen] == [2, None]
    assert after == mine.read_state("m") == ServingState("m", (1, 3), stable=1)
    text = bucket.Object("served/models.config").get()["Body"].read().decode()
    assert server.told == parse_config(text).SerializeToString()


def test_of_two_first_configs_one_is_made_after_the_other(bucket):
    def beside_another(served: ServingState) -> ServingState:
        if not keys(bucket):
            ModelServerRepository(BASE, Server()).update_state(
                "theirs", lambda now: now.give_label(7)
            )
        return served.give_label(1)

    repository = ModelServerRepository(BASE, Server())
    repository.update_state("mine", beside_another)
    assert {each.model: each.stable for each in repository.all_served()} == {"mine": 1, "theirs": 7}


def test_a_change_whose_answer_was_lost_is_not_made_twice(bucket, monkeypatch):
    repository = ModelServerRepository(BASE, Server())
    for version in (1, 2, 3):
        repository.update_state("m", lambda served, version=version: served.give_label(version))
        repository.update_state("m", lambda served: served.promote() if served.canary else served)
    write = S3FileStore.write_instead

    def answers_late(self, content: bytes, file: str, *, mark: str | None) -> bool:
        return write(self, content, file, mark=mark) and write(self, content, file, mark=mark)

    monkeypatch.setattr(S3FileStore, "write_instead", answers_late)
    assert repository.update_state("m", lambda served: served.roll_back()).stable == 2
    assert repository.read_state("m").stable == 2


def test_a_server_that_is_told_late_ends_with_the_newest_config(bucket):
    class Slow(Server):
        def reload_config(self, config: bytes) -> None:
            if not hasattr(self, "told"):
                ModelServerRepository(BASE, Server()).update_state(
                    "theirs", lambda served: served.give_label(2)
                )
            super().reload_config(config)

    server = Slow()
    ModelServerRepository(BASE, server).update_state("mine", lambda served: served.give_label(1))
    text = bucket.Object("served/models.config").get()["Body"].read().decode()
    assert server.told == parse_config(text).SerializeToString()


def test_a_bucket_from_before_there_were_labels_goes_on_answering(bucket, saved_model):
    for version in (1, 2):
        publish_version(saved_model, base=BASE, model="old", version=version)
    ensure_config(BASE)
    assert ModelServerRepository(BASE, Server()).read_state("old") == ServingState(
        "old", (1, 2), stable=2
    )


def test_a_copy_follows_the_buckets_config_and_stays_as_it_was_while_it_cannot(bucket, tmp_path):
    repository, folder = ModelServerRepository(BASE, Server()), tmp_path / "mirrored"
    mirror, local = ConfigMirror(BASE, folder), ModelServerRepository(str(folder), Server())
    assert mirror.follow()
    assert local.all_served() == []
    repository.update_state("m", lambda served: served.give_label(1))
    assert mirror.follow()
    assert local.read_state("m") == ServingState("m", (1,), stable=1)
    assert not mirror.follow(), "nothing is to do"

    bucket.Object("served/models.config").put(Body=b"model_config_lis {")
    with pytest.raises(PublicationError, match=r"models.config cannot be read"):
        mirror.follow()
    assert local.read_state("m") == ServingState("m", (1,), stable=1)


@pytest.fixture
def a_bucket_that_is_away(monkeypatch) -> None:
    """The S3 server that the environment names was stopped."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    server.stop()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("a_bucket_that_is_away")
def test_a_bucket_that_is_away_is_told_and_no_copy_of_its_config_is_lost(saved_model, tmp_path):
    repository, local = (
        ModelServerRepository(BASE, Server()),
        ModelServerRepository(str(tmp_path), Server()),
    )
    local.update_state("m", lambda served: served.give_label(1))
    with pytest.raises(OSError, match="EndpointConnectionError"):
        ConfigMirror(BASE, tmp_path).follow()
    assert local.read_state("m") == ServingState("m", (1,), stable=1)

    assert read_served(repository) == ServingState("load_forecaster"), (
        "stable is asked for everything"
    )
    (reason,) = ask_readiness(repository).reasons
    assert "EndpointConnectionError" in reason
    assert read_served_models(repository) == []
    with pytest.raises(PublicationError, match=r"copy: .*EndpointConnectionError"):
        publish_version(saved_model, base=BASE, model="m", version=1)
    with pytest.raises(PublicationError, match=r"config: .*EndpointConnectionError"):
        repository.update_state("m", lambda served: served.give_label(1))


@pytest.mark.slow
@pytest.mark.xdist_group("model_server")
def test_a_version_in_a_bucket_answers_under_its_label(
    bucket, s3, saved_models, start_server, tmp_path
):
    folder = tmp_path / "models"
    command = ["smartgrid_services.config_mirror", "--url", BASE, "--folder", str(folder)]
    with subprocess.Popen([sys.executable, "-m", *command, "--poll-seconds", "0.2"]) as mirror:
        server = start_server(folder, copies=tmp_path / "copies")
        try:
            with ModelServerClient(server.grpc_target, server.rest_url, timeout=20) as client:
                repository = ModelServerRepository(BASE, client, patience_s=30)
                for version in (1, 2):
                    source = saved_models / f"times_{version}"
                    repository.publish(source, model="m", version=version)
                    repository.update_state(
                        "m", lambda served, version=version: served.add_trial(version)
                    )
                    repository.wait_until_live("m", version)
                    after = repository.update_state(
                        "m", lambda served, v=version: served.give_label(v)
                    )
                    repository.wait_until_labelled("m", [*after.labels][-1], version)
                features = {"load_kw": [10.0], "temperature_c": [0.0]}
                said = [client.predict("m", features, label=each) for each in after.labels]
                assert [each.frame["p50"].item() for each in said] == [10.0, 20.0]
        finally:
            server.stop()
            mirror.terminate()
