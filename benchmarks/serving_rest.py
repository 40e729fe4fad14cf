"""REST at 1,000 requests a second: the time of the slowest hundredth, client included, in one run.

`python benchmarks/serving_rest.py [--rate 1000] [--seconds 10] [--rounds 3]` serves a model whose
graph takes next to no time, and sends predicts of one row at a fixed rate, whether or not answers
are late: a slow server is not asked less. Time counts from the instant a request was due. The
figure is the median of the rounds' p99.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import uvloop
from serving_support.forecaster import make_forecaster
from serving_support.server import MODEL, serving

TARGET_MS = 20.0
CONNECTIONS = 32


class Connection(asyncio.Protocol):
    """One kept-alive connection that posts the same request, one at a time."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request that waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        """Collect the answer until its body is whole."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or self._answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) == length:
            self._received = b""
            self._answer.set_result(head)

    async def post(self) -> None:
        """Send the request and wait for its answer, which must be 200."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)
        head = await self._answer
        assert head.startswith(b"HTTP/1.1 200"), head

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


async def at_rate(url: str, body: bytes, *, rate: float, seconds: float) -> list[float]:
    """The times of all answers in ms, sorted; every one must be 200."""
    loop = asyncio.get_running_loop()
    where = urlsplit(url)
    request = (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(
            lambda: Connection(request), where.hostname, where.port
        )
        idle.put_nowait(connection)
    times: list[float] = []

    async def ask(due: float) -> None:
        connection = await idle.get()
        await connection.post()
        times.append((time.perf_counter() - due) * 1e3)
        idle.put_nowait(connection)

    # uvloop's own clock ticks in whole milliseconds.
    began = time.perf_counter()
    asked = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        asked.append(asyncio.create_task(ask(due)))
    await asyncio.gather(*asked)
    while not idle.empty():
        idle.get_nowait().close()
    return sorted(times)


def timed(rate: float, seconds: float, rounds: int) -> float:
    """The median p99 of the rounds in ms; prints every round."""
    p99s = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, rows = make_forecaster(folder, trees=0)
        body = json.dumps({"inputs": {name: values[:1] for name, values in rows.items()}}).encode()
        with serving(folder, model) as server:
            url = f"{server.rest_url}/v1/models/{MODEL}:predict"
            process = psutil.Process(server.process.pid)
            uvloop.run(at_rate(url, body, rate=rate, seconds=2))
            for number in range(1, rounds + 1):
                before = process.cpu_times()
                own = psutil.Process().cpu_times()
                times = uvloop.run(at_rate(url, body, rate=rate, seconds=seconds))
                after, own_after = process.cpu_times(), psutil.Process().cpu_times()
                p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
                server_us = (after.user + after.system - before.user - before.system) * 1e6
                client_us = (own_after.user + own_after.system - own.user - own.system) * 1e6
                print(
                    f"round {number}: {len(times)} answers, p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
                    f"processor time per request: server {server_us / len(times):.0f} us, "
                    f"client {client_us / len(times):.0f} us"
                )
                p99s.append(p99)
    return statistics.median(p99s)


def main() -> None:
    """Print the median p99 of the rounds, and exit with 1 if it is above the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    p99 = timed(words.rate, words.seconds, words.rounds)
    print(f"median p99 {p99:.1f} ms at {words.rate:.0f} requests/s (target <= {TARGET_MS} ms)")
    raise SystemExit(0 if p99 <= TARGET_MS else 1)


if __name__ == "__main__":
    main()
