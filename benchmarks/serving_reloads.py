"""20 hot reloads under constant load: failed requests, and memory against its start, in one run.

`python benchmarks/serving_reloads.py [--reloads 20] [--requests 10000]` serves a forecaster, asks
without pause over REST and gRPC, and puts a new version there again and again; only the newest is
kept. The start is the memory under load after two reloads, when TensorFlow has its arenas.
"""

import argparse
import http.client
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from serving_support.forecaster import make_forecaster
from serving_support.server import MODEL, serving

from smartgrid_io.serving.client import ModelServerClient
from smartgrid_services.model_server.launch import RunningModelServer

TARGET = 1.10
FIRST_RELOADS = 2


class Load:
    """Two REST and two gRPC callers that ask without pause until the block ends."""

    def __init__(self, server: RunningModelServer, rows: dict[str, list[float]]) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._server = server
        self._rows = rows
        self._ended = threading.Event()
        self._lock = threading.Lock()
        callers = (self._over_rest, self._over_rest, self._over_grpc, self._over_grpc)
        self._threads = [threading.Thread(target=caller) for caller in callers]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _over_rest(self) -> None:
        body = json.dumps({"inputs": self._rows}).encode()
        address = urlsplit(self._server.rest_url).netloc
        connection = http.client.HTTPConnection(address, timeout=30)
        while not self._ended.is_set():
            try:
                connection.request("POST", f"/v1/models/{MODEL}:predict", body)
                answer = connection.getresponse()
                text = answer.read()
                self._count(None if answer.status == 200 else text.decode())
            except OSError as error:
                connection.close()
                self._count(str(error))
        connection.close()

    def _over_grpc(self) -> None:
        with ModelServerClient(self._server.grpc_target, self._server.rest_url, 30) as client:
            while not self._ended.is_set():
                try:
                    client.predict(MODEL, self._rows)
                    self._count(None)
                except Exception as error:
                    self._count(str(error))

    def _count(self, failure: str | None) -> None:
        with self._lock:
            self.answered += 1
            if failure is not None:
                self.failures.append(failure)


def reload(base: Path, model: Path, server: RunningModelServer, version: int) -> None:
    """Put the version there at once and wait until it is the only one that answers."""
    hidden = base / MODEL / f".{version}"
    shutil.copytree(model, hidden)
    hidden.rename(base / MODEL / str(version))
    url = f"{server.rest_url}/v1/models/{MODEL}"
    while True:
        lines = httpx.get(url, timeout=30).json()["model_version_status"]
        answering = [line["version"] for line in lines if line["state"] == "AVAILABLE"]
        busy = [line for line in lines if line["state"] in {"LOADING", "UNLOADING"}]
        if answering == [str(version)] and not busy:
            return
        time.sleep(0.05)


def main() -> None:
    """Print failures and memory, and exit with 1 if a request failed or memory grew too far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--trees", type=int, default=0, help="of the forecaster; 0 is a line")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, rows = make_forecaster(folder, trees=words.trees)
        with serving(folder, model, versions_kept=1, poll_seconds=0.2) as server:
            process = psutil.Process(server.process.pid)
            with Load(server, rows) as load:
                version = 1
                for _ in range(FIRST_RELOADS):
                    version += 1
                    reload(folder / "base", model, server, version)
                time.sleep(2)
                start_mb = process.memory_info().rss / 1e6
                before = load.answered
                peak_mb = start_mb
                for _ in range(words.reloads):
                    version += 1
                    reload(folder / "base", model, server, version)
                    peak_mb = max(peak_mb, process.memory_info().rss / 1e6)
                while load.answered - before < words.requests:
                    time.sleep(0.1)
                time.sleep(2)
                end_mb = process.memory_info().rss / 1e6
                answered = load.answered - before
    ratio = end_mb / start_mb
    print(
        f"{words.reloads} reloads, {answered} requests, {len(load.failures)} failed; memory "
        f"{start_mb:.0f} MB at the start, {peak_mb:.0f} MB at most, {end_mb:.0f} MB at the end, "
        f"ratio {ratio:.3f} (target <= {TARGET})"
    )
    for failure in load.failures[:5]:
        print(f"failed: {failure}")
    raise SystemExit(0 if not load.failures and ratio <= TARGET else 1)


if __name__ == "__main__":
    main()
