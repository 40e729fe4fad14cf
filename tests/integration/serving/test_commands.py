"""`smartgrid rollback`, `promote`, `ab` and `status` on a real model server and database."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from smartgrid_cli.main import run
from smartgrid_core.contracts.serving import LabelMoves, TrafficSplits
from smartgrid_io.serving.readiness import ask_readiness

pytestmark = pytest.mark.xdist_group("model_server")

HEAVY = ("tensorflow", "mlflow", "dagster", "lightgbm", "keras")

COMMAND = f"""
import sys
from smartgrid_cli.main import run
try:
    run()
finally:
    print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""


class AliasServer(ThreadingHTTPServer):
    """Takes MLflow's request to move an alias, and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AliasRequest)
        self.moved: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class AliasRequest(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.path == "/api/2.0/mlflow/registered-models/alias"
        self.server.moved.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def mlflow() -> Iterator[AliasServer]:
    with AliasServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(place, warehouse, mlflow, tmp_path) -> dict[str, str]:
    """Environment variables that lead a command to the place, the database and the registry."""
    return {
        "SMARTGRID_HOME": str(tmp_path / "home"),
        "SMARTGRID_DATABASE_URL": warehouse.url,
        "SMARTGRID_MLFLOW_URL": mlflow.url,
        "SMARTGRID_MODEL_DIR": place.repository.base,
        "SMARTGRID_MODEL_SERVER_GRPC": place.client.grpc_target,
        "SMARTGRID_MODEL_SERVER_REST": place.client.rest_url,
    }


@pytest.fixture
def smartgrid(settings, monkeypatch, capsys):
    """Runs a command in this process; returns its exit code and words."""

    def call(*words: str, **more: str) -> tuple[int, str]:
        for name, value in {**settings, **more}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["smartgrid", *words])
        with pytest.raises(SystemExit) as ended:
            run()
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return call


def test_rollback_takes_a_moment_says_what_it_did_and_leaves_a_record(
    place, warehouse, mlflow, settings, smartgrid
):
    assert [place.publish("rolled", version) for version in (1, 2)] == ["stable", "canary"]
    code, said = smartgrid("promote", "--model", "rolled")
    assert (code, "rolled: stable was version 1 and is version 2" in said) == (0, True), said

    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "rollback", "--model", "rolled", "--reason", "evenings"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "rolled: stable was version 2 and is version 1" in done.stdout
    assert "heavy: []" in done.stdout
    assert float(re.search(r"took ([0-9.]+) s", done.stdout)[1]) < 5
    assert place.says("rolled", "stable") == ("1", 10.0)
    assert mlflow.moved[-1] == {"name": "rolled", "alias": "champion", "version": "1"}
    moves = warehouse.read(LabelMoves).sort("moved_at")
    assert moves.select("label", "version_before", "version_after", "action", "reason").rows()[
        -1
    ] == ("stable", "2", "1", "rolled_back", "evenings")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "version 1 of only_one is the first that was stable, there is none before it"),
        (["--to", "1"], "version 1 of only_one is already stable"),
        (["--to", "7"], "version 7 of only_one is not in the model folder; there are 1"),
        (["--model", "nobody"], "no version of nobody is stable yet"),
    ],
)
def test_rollback_says_why_there_is_nothing_to_go_back_to(place, smartgrid, words, complaint):
    place.publish("only_one", 1)
    code, said = smartgrid("rollback", "--model", "only_one", *words)
    assert (code, complaint in said) == (1, True), said


def test_rollback_moves_the_label_though_registry_and_database_are_away(
    place, smartgrid, free_ports
):
    assert [place.publish("alone", version) for version in (1, 2)] == ["stable", "canary"]
    nobody = free_ports()[0]
    code, said = smartgrid(
        *("rollback", "--model", "alone"),
        SMARTGRID_MLFLOW_URL=f"http://127.0.0.1:{nobody}",
        SMARTGRID_DATABASE_URL=f"postgresql://nobody@127.0.0.1:{nobody}/none",
    )
    assert code == 1
    assert "alone: version 2 is no longer canary" in said
    assert "but the registry's alias champion was not moved: MLflow does not answer at" in said
    assert "but label_moves was not written" in said
    assert place.client.find_labelled_version("alone", "canary") is None
    assert place.says("alone", "stable") == ("1", 10.0)


def test_the_share_of_the_canary_is_shown_and_changed(warehouse, smartgrid):
    assert "a canary answers 10.0% of the feeders" in smartgrid("ab", "--model", "m")[1]
    code, said = smartgrid("ab", "--model", "m", "--canary-share", "0.25", "--salt", "x")
    assert (code, "25.0% of the feeders, dealt with the salt 'x'" in said) == (0, True)
    assert warehouse.read(TrafficSplits).select("canary_share", "salt").rows() == [(0.25, "x")]
    code, said = smartgrid("ab", "--canary-share", "1.5")
    assert code == 2, said


def test_who_depends_on_a_model_is_ready_when_every_label_answers(place):
    place.publish("ready", 1)
    assert ask_readiness(place.repository).is_ready
    place.repository.update_state("ready", lambda served: served.give_label(9))
    assert ask_readiness(place.repository).reasons == (
        "ready: label canary means version 9, none answers",
    )
    place.repository.update_state("ready", lambda served: served.drop_canary())
    assert ask_readiness(place.repository).is_ready
