"""A gRPC predict of 24 rows against the bare call of the same signature, in one run.

`python benchmarks/serving_latency.py [--rounds 5] [--calls 300]` exports a load forecaster, serves
it, and asks server and signature in turn. The reference is the SavedModel loaded by TensorFlow into
this process and its signature called on tensors that are there already; of the server's answer
everything counts, from NumPy arrays to NumPy arrays.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from serving_support.forecaster import make_forecaster
from serving_support.server import MODEL, serving

TARGET = 3.0
WARM_UP = 50


def measure_p50_ms(call: Callable[[], Any], calls: int) -> float:
    """Return the median time of a call, ms."""
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def measure_latency(rounds: int, calls: int, trees: int) -> float:
    """Return the median ratio of the p50, server to signature; prints every round."""
    import tensorflow as tf

    from smartgrid_io.serving.client import ModelServerClient

    ratios = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, rows = make_forecaster(folder, trees=trees)
        arrays = {name: np.asarray(values, np.float32) for name, values in rows.items()}
        signature = tf.saved_model.load(str(model)).signatures["serving_default"]
        tensors = {name: tf.constant(values) for name, values in arrays.items()}
        with (
            serving(folder, model) as server,
            ModelServerClient(server.grpc_target, server.rest_url) as client,
        ):

            def bare() -> np.ndarray:
                return signature(**tensors)["p50"].numpy()

            def served() -> np.ndarray:
                return client.predict(MODEL, arrays).frame["p50"].to_numpy()

            np.testing.assert_allclose(served(), bare(), rtol=1e-6)
            measure_p50_ms(bare, WARM_UP)
            measure_p50_ms(served, WARM_UP)
            for number in range(1, rounds + 1):
                bare_ms, served_ms = measure_p50_ms(bare, calls), measure_p50_ms(served, calls)
                ratios.append(served_ms / bare_ms)
                print(
                    f"round {number}: bare {bare_ms:.2f} ms, gRPC {served_ms:.2f} ms, "
                    f"ratio {ratios[-1]:.2f}"
                )
    return statistics.median(ratios)


def main() -> None:
    """Print the ratio, and exit with 1 if it is above the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--trees", type=int, default=100, help="per booster; 0 is a line")
    arguments = parser.parse_args()
    ratio = measure_latency(arguments.rounds, arguments.calls, arguments.trees)
    print(f"ratio {ratio:.2f} (target <= {TARGET})")
    raise SystemExit(0 if ratio <= TARGET else 1)


if __name__ == "__main__":
    main()
