"""64 clients at once, with batching and without, in one run.

`python benchmarks/serving_batching.py [--seconds 8] [--trees 100]` exports a load forecaster and
asks two servers in turn, which differ in batching alone. Every client sends the next predict of one
row when the one before is answered; the figure is answers per second.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

import aiohttp
from serving_support.forecaster import make_forecaster
from serving_support.server import MODEL, serving

CLIENTS = 64
TARGET = 1.0
PARAMETERS = """
max_batch_size { value: 64 }
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
"""


async def answers_per_second(url: str, body: bytes, seconds: float) -> float:
    """Answers of all clients in a second; every one must be 200."""
    loop = asyncio.get_running_loop()
    answered = 0

    async def client(session: aiohttp.ClientSession, until: float) -> None:
        nonlocal answered
        while loop.time() < until:
            async with session.post(url, data=body) as answer:
                await answer.read()
                assert answer.status == 200, await answer.text()
            answered += 1

    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as session:
        began = loop.time()
        until = began + seconds
        await asyncio.gather(*(client(session, until) for _ in range(CLIENTS)))
        return answered / (loop.time() - began)


def measure(folder: Path, model: Path, body: bytes, seconds: float, **options: object) -> float:
    """Answers per second of one server, after a second of warm-up."""
    with serving(folder, model, **options) as server:
        url = f"{server.rest_url}/v1/models/{MODEL}:predict"
        asyncio.run(answers_per_second(url, body, 1.0))
        return asyncio.run(answers_per_second(url, body, seconds))


def main() -> None:
    """Compare both servers, print the figures, and exit with 1 unless batching answers more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--trees", type=int, default=100)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, rows = make_forecaster(folder, trees=words.trees)
        body = json.dumps({"inputs": {name: values[:1] for name, values in rows.items()}}).encode()
        parameters = folder / "batching.config"
        parameters.write_text(PARAMETERS)
        off = measure(folder, model, body, words.seconds)
        print(f"batching off: {off:.0f} answers/s")
        on = measure(
            *(folder, model, body, words.seconds),
            enable_batching=True,
            batching_parameters_file=parameters,
        )
        print(f"batching on: {on:.0f} answers/s")
    print(f"ratio {on / off:.2f} (target > {TARGET})")
    raise SystemExit(0 if on > TARGET * off else 1)


if __name__ == "__main__":
    main()
