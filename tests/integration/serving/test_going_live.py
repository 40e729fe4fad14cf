"""A publisher that dies at any step, and the way back, with a real model server."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smartgrid_core.errors import PublicationError
from smartgrid_core.serving import Served
from smartgrid_io.serving import publisher
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.moves import LabelMover
from smartgrid_io.serving.shelf import Shelf, ensure_config
from tests.integration.serving.publisher_process import STEPS, Books, publish

pytestmark = pytest.mark.xdist_group("model_server")

ASKED = {"load_kw": [10.0], "temperature_c": [0.0]}
NOW = datetime(2026, 3, 3, tzinfo=UTC)


class Place:
    """A model folder of its own with a server on it; version n multiplies by n."""

    def __init__(self, base: Path, server, saved_models: Path, publishers=None) -> None:
        self.publishers = publishers
        self.client = ModelServerClient(server.grpc_target, server.rest_url, timeout=20)
        self.shelf = Shelf(str(base), self.client, patience_s=20)
        self.books = Books(base.parent / f"{base.name}.json", saved_models)
        self.arguments = {
            "base": str(base),
            "grpc": server.grpc_target,
            "rest": server.rest_url,
            "saved_models": str(saved_models),
            "state": str(self.books.state),
        }

    def publish(self, model: str, version: int) -> str:
        return publish(**self.arguments, model=model, version=version)

    def kill_publisher(self, model: str, version: int, *, before: str) -> None:
        wish = {**self.arguments, "model": model, "version": version, "stop_at": before}
        self.publishers.stdin.write(json.dumps(wish) + "\n")
        self.publishers.stdin.flush()
        said = {self.publishers.stdout.readline(), self.publishers.stdout.readline()}
        (number,) = said - {f"stands before {before}\n"}
        os.kill(int(number), signal.SIGKILL)

    def says(self, model: str, label: str) -> tuple[str, float]:
        answer = self.client.predict(model, ASKED, label=label)
        return answer.model_version, answer.frame["p50"][0]

    def mover(self) -> LabelMover:
        return LabelMover(self.shelf, self.books, self.books, by="test")


@pytest.fixture(scope="module")
def place(tmp_path_factory, start_server, saved_models):
    base = tmp_path_factory.mktemp("going_live") / "models"
    ensure_config(str(base))
    script = str(Path(__file__).with_name("publisher_process.py"))
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as publishers:
        server = start_server(base)
        place = Place(base, server, saved_models, publishers)
        yield place
        place.client.close()
        server.stop()
        publishers.stdin.close()


@pytest.mark.slow
def test_a_publisher_killed_at_any_step_never_stops_stable_and_the_next_run_ends_its_work(place):
    for step in STEPS:
        model = f"killed_before_{step}"
        assert place.publish(model, 1) == "stable"
        place.kill_publisher(model, 2, before=step)
        assert place.says(model, "stable") == ("1", 10.0)

        assert place.publish(model, 2) == "canary"
        assert place.shelf.served(model) == Served(model, (1, 2), stable=1, canary=2)
        assert place.says(model, "stable") == ("1", 10.0)
        assert place.says(model, "canary") == ("2", 20.0)
        noted = [row for row in place.books.rows() if row["model"] == model]
        assert [(row["label"], row["version_after"]) for row in noted] == [
            ("stable", "1"),
            ("canary", "2"),
        ]
        assert sorted(entry.name for entry in (Path(place.shelf.base) / model).iterdir()) == [
            *(".lock", "1", "2")
        ]


@pytest.mark.slow
def test_what_a_killed_publisher_left_is_undone_by_the_next_version(place):
    for step in ("rename", "wait_until_live", "label"):
        model = f"undone_before_{step}"
        place.publish(model, 1)
        place.kill_publisher(model, 2, before=step)
        assert place.publish(model, 3) == "canary"
        assert place.shelf.served(model) == Served(model, (1, 3), stable=1, canary=3)
        assert place.says(model, "canary") == ("3", 30.0)


def test_a_first_publisher_killed_before_its_label_leaves_a_model_that_nobody_is_sent_to(place):
    place.kill_publisher("first", 1, before="label")
    assert place.client.version_of_label("first", "stable") is None
    assert place.publish("first", 1) == "stable"
    assert place.says("first", "stable") == ("1", 10.0)


def test_going_back_takes_a_moment_and_the_way_ends_at_the_first_version(place):
    for version in (1, 2, 3):
        if place.publish("back", version) == "canary":
            place.mover().promote("back", reason="better", now=NOW)
    assert place.says("back", "stable") == ("3", 30.0)
    for version in (2, 1):
        began = time.monotonic()
        moved = place.mover().roll_back("back", to=None, reason="worse", now=NOW)
        assert time.monotonic() - began < 2
        assert moved.troubles == ()
        assert place.says("back", "stable") == (str(version), 10.0 * version)
        assert place.books.known()["champion"] == str(version)
    with pytest.raises(PublicationError, match="version 1 of back is the first that was stable"):
        place.mover().roll_back("back", to=None, reason="worse", now=NOW)

    # The files of all three are still there, so the way forward is open, too.
    assert publisher.published_versions(base=place.shelf.base, model="back") == [1, 2, 3]
    place.mover().roll_back("back", to=3, reason="was right after all", now=NOW)
    assert place.says("back", "stable") == ("3", 30.0)
    with pytest.raises(PublicationError, match="version 9 of back is not in the model folder"):
        place.mover().roll_back("back", to=9, reason="worse", now=NOW)
