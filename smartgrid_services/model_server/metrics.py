"""Prometheus metrics under the names of TensorFlow Serving, which begin with a colon.

Written here because the usual client library appends `_total` to every counter's name.
"""

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from smartgrid_services.model_server.status import Code, ServingError

CONTENT_TYPE = "text/plain"
PATH = "/monitoring/prometheus/metrics"

_LARGEST = 1000
"""Label sets of one metric: names of models that do not exist must not fill the memory."""

Labels = tuple[str, ...]


def make_exponential_limits(first: float, factor: float, count: int) -> tuple[float, ...]:
    """Return the upper limits of a histogram's buckets, as Buckets::Exponential has them.

    >>> make_exponential_limits(10, 2, 4)
    (10, 20, 40, 80)
    """
    return tuple(first * factor**power for power in range(count))


LATENCY_MICROS = make_exponential_limits(10, 1.8, 33)
"""10 microseconds to about 20 minutes."""


class Counter:
    """A number per label set that only grows; one metric of the exposition."""

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self._labels = labels
        self._values: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def add(self, *labels: str, amount: float = 1) -> None:
        """Add to the number of a label set; label values in the order of the labels' names."""
        with self._lock:
            if labels in self._values or len(self._values) < _LARGEST:
                self._values[labels] = self._values.get(labels, 0) + amount

    def format_lines(self) -> Iterator[str]:
        """Yield the lines of the metric in Prometheus' text format."""
        yield f"# TYPE {self.name} counter"
        with self._lock:
            values = sorted(self._values.items())
        for labels, value in values:
            yield f"{self.name}{{{_format_labels(self._labels, labels)}}} {_format_number(value)}"


@dataclass(slots=True)
class _Distribution:
    """What one label set of a histogram has observed.

    Attributes:
        counts: Observations per bucket; the last bucket has no upper limit.
        total: Sum of the observed values.
    """

    counts: list[int]
    total: float = 0.0


class Histogram:
    """A distribution per label set, in buckets with upper limits; one metric of the exposition."""

    def __init__(self, name: str, limits: tuple[float, ...], *labels: str) -> None:
        self.name = name
        self._limits = limits
        self._labels = labels
        self._values: dict[Labels, _Distribution] = {}
        self._lock = threading.Lock()

    def observe(self, *labels: str, value: float) -> None:
        """Count a value into its bucket; label values in the order of the labels' names."""
        bucket = bisect_left(self._limits, value)
        with self._lock:
            found = self._values.get(labels)
            if found is None:
                if len(self._values) >= _LARGEST:
                    return
                found = self._values[labels] = _Distribution([0] * (len(self._limits) + 1))
            found.counts[bucket] += 1
            found.total += value

    def format_lines(self) -> Iterator[str]:
        """Yield the lines in Prometheus' text format; a bucket includes all smaller ones."""
        yield f"# TYPE {self.name} histogram"
        with self._lock:
            values = [
                (labels, list(one.counts), one.total)
                for labels, one in sorted(self._values.items())
            ]
        for labels, counts, total in values:
            pairs = _format_labels(self._labels, labels)
            comma = "," if pairs else ""
            reached = 0
            for limit, count in zip((*self._limits, math.inf), counts, strict=True):
                reached += count
                named = "+Inf" if limit == math.inf else f"{limit:g}"
                yield f'{self.name}_bucket{{{pairs}{comma}le="{named}"}} {reached}'
            yield f"{self.name}_sum{{{pairs}}} {_format_number(total)}"
            yield f"{self.name}_count{{{pairs}}} {reached}"


@dataclass(slots=True)
class Metrics:
    """The metrics of one server; times are in microseconds, as in TensorFlow Serving.

    Attributes:
        request_count: Requests by model and status.
        request_latency: Time of answered requests by model, API and entrypoint.
        runtime_latency: Time of the model's own computation by model, API and runtime.
        example_counts: Examples per request by model.
        example_count_total: Examples of all requests by model.
        graph_runs: Runs of graphs.
        graph_run_micros: Time of all runs of graphs.
        graph_run_histogram: Time of a run of a graph.
        load_attempts: Loads by folder and outcome.
        load_latency: Time of loads by folder.
        warmup_latency: Time of warm-ups by folder and status.
        queuing_latency: Time that a request waited in a batch, by thread pool.
        batches: Batches that were computed.
    """

    request_count: Counter = field(
        default_factory=lambda: Counter(":tensorflow:serving:request_count", "model_name", "status")
    )
    request_latency: Histogram = field(
        default_factory=lambda: Histogram(
            ":tensorflow:serving:request_latency",
            LATENCY_MICROS,
            *("model_name", "API", "entrypoint"),
        )
    )
    runtime_latency: Histogram = field(
        default_factory=lambda: Histogram(
            ":tensorflow:serving:runtime_latency",
            LATENCY_MICROS,
            *("model_name", "API", "runtime"),
        )
    )
    example_counts: Histogram = field(
        default_factory=lambda: Histogram(
            ":tensorflow:serving:request_example_counts", make_exponential_limits(1, 2, 15), "model"
        )
    )
    example_count_total: Counter = field(
        default_factory=lambda: Counter(":tensorflow:serving:request_example_count_total", "model")
    )
    graph_runs: Counter = field(default_factory=lambda: Counter(":tensorflow:core:graph_runs"))
    graph_run_micros: Counter = field(
        default_factory=lambda: Counter(":tensorflow:core:graph_run_time_usecs")
    )
    graph_run_histogram: Histogram = field(
        default_factory=lambda: Histogram(
            ":tensorflow:core:graph_run_time_usecs_histogram", make_exponential_limits(1000, 2, 20)
        )
    )
    load_attempts: Counter = field(
        default_factory=lambda: Counter(
            ":tensorflow:cc:saved_model:load_attempt_count", "model_path", "status"
        )
    )
    load_latency: Counter = field(
        default_factory=lambda: Counter(":tensorflow:cc:saved_model:load_latency", "model_path")
    )
    warmup_latency: Histogram = field(
        default_factory=lambda: Histogram(
            ":tensorflow:serving:model_warmup_latency",
            LATENCY_MICROS,
            *("model_path", "status"),
        )
    )
    queuing_latency: Histogram = field(
        default_factory=lambda: Histogram(
            ":tensorflow:serving:batching_session:queuing_latency",
            make_exponential_limits(100, 1.2, 52),
            "thread_pool_name",
        )
    )
    batches: Counter = field(
        default_factory=lambda: Counter(":tensorflow:serving:batching_session:wrapped_run_count")
    )

    def count_request(
        self, *, model: str, api: str, entrypoint: str, status: str, seconds: float
    ) -> None:
        """Count one request by its status, and its time if it was answered.

        Args:
            model: Name of the model.
            api: Predict, Classify, Regress, MultiInference; lower case over REST.
            entrypoint: GRPC or REST.
            status: Name of the status code.
            seconds: How long the request took, s.
        """
        self.request_count.add(model, status)
        if status == "OK":
            self.request_latency.observe(model, api, entrypoint, value=seconds * 1e6)

    def count_graph_run(self, seconds: float) -> None:
        """Count one run of a graph that took `seconds`."""
        micros = seconds * 1e6
        self.graph_runs.add()
        self.graph_run_micros.add(amount=micros)
        self.graph_run_histogram.observe(value=micros)

    def count_examples(self, model: str, count: int) -> None:
        """Count the examples of one classify, regress or multi-inference request."""
        self.example_counts.observe(model, value=count)
        self.example_count_total.add(model, amount=count)

    def format_page(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        every = (getattr(self, name) for name in self.__slots__)
        metrics = sorted(every, key=lambda one: one.name)
        return "".join(f"{line}\n" for one in metrics for line in one.format_lines()).encode()


def _format_labels(names: tuple[str, ...], values: Labels) -> str:
    return ",".join(
        f'{name}="{_escape_label(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escape_label(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _format_number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"


@contextmanager
def measure_request(metrics: Metrics, *, model: str, api: str, entrypoint: str) -> Iterator[None]:
    """Count the block as one request, with the status of the error that it raises.

    Args:
        metrics: Where it is counted.
        model: Name of the model.
        api: Predict, Classify, Regress, MultiInference; lower case over REST.
        entrypoint: GRPC or REST.
    """
    began = time.perf_counter()
    status = Code.OK
    try:
        yield
    except ServingError as error:
        status = error.code
        raise
    except BaseException:
        status = Code.INTERNAL
        raise
    finally:
        metrics.count_request(
            model=model,
            api=api,
            entrypoint=entrypoint,
            status=status.name,
            seconds=time.perf_counter() - began,
        )


@contextmanager
def measure_runtime(metrics: Metrics, *, model: str, api: str) -> Iterator[None]:
    """Count the time of the block as the model's own computation within a request."""
    began = time.perf_counter()
    yield
    micros = (time.perf_counter() - began) * 1e6
    metrics.runtime_latency.observe(model, api, "TF1", value=micros)
