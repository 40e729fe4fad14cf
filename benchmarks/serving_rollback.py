"""Wall time of `smartgrid rollback`, from the shell's call to its end, in one run.

`python benchmarks/serving_rollback.py [--rounds 3]` starts a model server with two versions of a
forecaster, a database for the record and a registry that takes the alias. Each round goes back to
the version that was stable before, which is loaded, and then with `--to` to the other one, which
has to be loaded first. Nothing is trained.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from serving_support.forecaster import make_forecaster
from serving_support.server import MODEL, serving

from smartgrid_io.postgres.embedded import EmbeddedPostgres
from smartgrid_io.postgres.warehouse import PostgresWarehouse
from smartgrid_io.serving.client import ModelServerClient
from smartgrid_io.serving.model_repository import ensure_config

TARGET_S = 5.0


class TakesAliases(BaseHTTPRequestHandler):
    """MLflow's answer to a moved alias."""

    def do_POST(self) -> None:
        """Read the request, answer an empty object."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Keep the output to the figures."""


@contextmanager
def registry() -> Iterator[str]:
    """The URL of a server that takes aliases."""
    with ThreadingHTTPServer(("127.0.0.1", 0), TakesAliases) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def seconds_of(*words: str, environment: dict[str, str]) -> tuple[float, float]:
    """Wall time and processor time of one `smartgrid` command, which must succeed."""
    command = [str(Path(sys.executable).with_name("smartgrid")), *words]
    before = processor_s()
    began = time.monotonic()
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return took, processor_s() - before


def processor_s() -> float:
    """Processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place, EmbeddedPostgres(Path(place) / "db") as database:
        folder = Path(place)
        url = database.ensure_database("rollback")
        PostgresWarehouse(url).upgrade()
        model, _ = make_forecaster(folder, trees=0)
        for version in ("1", "2"):
            shutil.copytree(model, folder / "base" / MODEL / version)
        ensure_config(str(folder / "base"))
        with serving(folder, model) as server, registry() as aliases:
            environment = {
                "SMARTGRID_HOME": str(folder / "home"),
                "SMARTGRID_DATABASE_URL": url,
                "SMARTGRID_MLFLOW_URL": aliases,
                "SMARTGRID_MODEL_DIR": str(folder / "base"),
                "SMARTGRID_MODEL_SERVER_GRPC": server.grpc_target,
                "SMARTGRID_MODEL_SERVER_REST": server.rest_url,
            }
            taken: dict[str, list[tuple[float, float]]] = {"1": [], "2": []}
            with ModelServerClient(server.grpc_target, server.rest_url) as client:
                for _ in range(rounds):
                    for version, words in {"1": [], "2": ["--to", "2"]}.items():
                        took = seconds_of("rollback", *words, environment=environment)
                        taken[version].append(took)
                        answers = client.find_labelled_version(MODEL, "stable")
                        if answers != version:
                            raise SystemExit(f"version {answers} answers instead of {version}")
    slowest = 0.0
    for version, what in {"1": "to the loaded version", "2": "to one that is loaded first"}.items():
        wall, processor = ([each[n] for each in taken[version]] for n in (0, 1))
        middle = statistics.median(wall)
        print(
            f"rollback {what}: {middle:.1f} s, from {min(wall):.1f} to {max(wall):.1f} s in "
            f"{rounds} rounds; {statistics.median(processor):.1f} s of a processor"
        )
        # The machine's other work can only make it slower: the middle round is judged.
        slowest = max(slowest, middle)
    print(f"limit {TARGET_S:.0f} s")
    raise SystemExit(0 if slowest < TARGET_S else 1)


if __name__ == "__main__":
    main()
