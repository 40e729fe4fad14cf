"""Batching, with a servable that doubles what it gets and remembers how much that was."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from smartgrid_core.errors import ServerError
from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.servables.batching import Batcher, BatchingServable
from smartgrid_services.model_server.servables.batching_parameters import (
    BatchingParameters,
    read_batching_parameters,
)
from smartgrid_services.model_server.servables.signatures import Signature, TensorSpec
from smartgrid_services.model_server.status import Code, ServingError

FLOAT = np.dtype(np.float32)


def spec(*shape):
    return TensorSpec("DT_FLOAT", FLOAT, shape)


class Doubling:
    """Doubles x; refuses a batch with a negative number; waits until it may answer."""

    def __init__(self):
        self.signature_map = None
        self.is_steady = True
        self.signatures = {
            "rows": Signature("rows", {"x": spec(-1)}, {"y": spec(-1)}),
            "wide": Signature("wide", {"x": spec(-1, -1)}, {"y": spec(-1, -1)}),
            "one": Signature("one", {"x": spec(1)}, {"y": spec(1)}),
            "total": Signature("total", {"x": spec(-1)}, {"y": spec(-1)}),
        }
        self.sizes = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def run(self, signature, inputs, outputs):
        self.may_answer.wait()
        x = inputs["x"]
        self.sizes.append(len(x))
        if (x < 0).any():
            raise ServingError(Code.INVALID_ARGUMENT, "negative")
        return {"y": x.sum(keepdims=True) if signature.name == "total" else 2 * x}

    def close(self):
        pass


class Running:
    """A batching servable, and requests that wait in it."""

    def __init__(self, **parameters):
        self.inner = Doubling()
        usual = {"num_batch_threads": 1, "batch_timeout_micros": 0}
        self.batcher = Batcher(BatchingParameters(**{**usual, **parameters}), Metrics())
        self.servable = BatchingServable(self.inner, self.batcher)
        self.callers = ThreadPoolExecutor(64)

    def ask(self, values, signature="rows"):
        x = np.array(values, dtype=np.float32)
        return self.servable.run(self.inner.signatures[signature], {"x": x}, ["y"])["y"].tolist()

    def beside(self, *requests, signature="rows"):
        """Ask all at once, while the only batch thread is held up by one more."""
        self.inner.may_answer.clear()
        first = self.callers.submit(self.ask, [0.0])
        self.until(lambda: not self.batcher._queue)
        asked = []
        for number, values in enumerate(requests, start=1):
            asked.append(self.callers.submit(self.ask, values, signature))
            self.until(
                lambda number=number: (
                    asked[-1].done()
                    or sum(len(batch.tasks) for batch in self.batcher._queue) >= number
                )
            )
        self.inner.may_answer.set()
        assert first.result() == [0.0]
        return asked

    @staticmethod
    def until(condition):
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)


@pytest.fixture
def start():
    started = []

    def begin(**parameters):
        started.append(Running(**parameters))
        return started[-1]

    yield begin
    for running in started:
        running.callers.shutdown()
        running.batcher.close()


def test_requests_that_wait_share_one_run_and_get_their_own_rows(start):
    running = start()
    asked = running.beside([1.0, 2.0], [3.0], [4.0, 5.0, 6.0])
    assert [one.result() for one in asked] == [[2.0, 4.0], [6.0], [8.0, 10.0, 12.0]]
    assert running.inner.sizes == [1, 6]


def test_a_batch_is_no_larger_than_it_may_be(start):
    running = start(max_batch_size=4)
    asked = running.beside([1.0, 2.0, 3.0], [4.0, 5.0], [6.0])
    assert [one.result() for one in asked] == [[2.0, 4.0, 6.0], [8.0, 10.0], [12.0]]
    assert running.inner.sizes == [1, 3, 3]


def test_a_bad_request_gets_its_error_and_harms_no_other(start):
    running = start()
    good, bad, other = running.beside([1.0], [-1.0], [2.0])
    assert (good.result(), other.result()) == ([2.0], [4.0])
    with pytest.raises(ServingError, match="negative"):
        bad.result()


def test_rows_of_unequal_width_are_not_put_together(start):
    running = start()
    asked = running.beside([[1.0, 2.0]], [[3.0]], [[4.0, 5.0]], signature="wide")
    assert [one.result() for one in asked] == [[[2.0, 4.0]], [[6.0]], [[8.0, 10.0]]]
    assert sorted(running.inner.sizes) == [1, 1, 2]


def test_a_signature_without_a_batch_is_run_alone(start):
    running = start()
    assert running.ask([1.0], "one") == [2.0]
    assert running.ask([], "rows") == []


def test_outputs_that_are_no_rows_are_computed_for_each_request(start):
    running = start()
    asked = running.beside([1.0, 2.0], [3.0, 4.0], signature="total")
    assert [one.result() for one in asked] == [[3.0], [7.0]]


def test_a_batcher_that_is_closed_lets_nobody_wait(start):
    running = start()
    running.batcher.close()
    late = running.callers.submit(running.ask, [1.0])
    with pytest.raises(ServingError, match="nothing is batched any more") as refusal:
        late.result(timeout=10)
    assert refusal.value.code is Code.UNAVAILABLE


def test_what_would_wait_too_long_is_refused(start):
    running = start(max_batch_size=1, max_enqueued_batches=2)
    *accepted, refused = running.beside([1.0], [2.0], [3.0])
    assert [one.result() for one in accepted] == [[2.0], [4.0]]
    with pytest.raises(ServingError, match="queue to which this task was submitted is full") as no:
        refused.result()
    assert no.value.code is Code.UNAVAILABLE


def test_a_request_larger_than_a_batch_is_refused(start):
    running = start(max_batch_size=2)
    with pytest.raises(ServingError, match="Task size 3 is larger than maximum input batch size 2"):
        running.ask([1.0, 2.0, 3.0])


def test_a_batch_waits_for_others_as_long_as_it_is_told(start):
    running = start(batch_timeout_micros=200_000, max_batch_size=2)
    began = time.monotonic()
    assert running.ask([1.0]) == [2.0]
    assert time.monotonic() - began >= 0.2
    began = time.monotonic()
    asked = [running.callers.submit(running.ask, [value]) for value in (1.0, 2.0)]
    assert [one.result() for one in asked] == [[2.0], [4.0]]
    assert time.monotonic() - began < 0.2
    assert running.inner.sizes == [1, 2]


def test_a_batch_is_filled_up_to_an_allowed_size(start):
    running = start(allowed_batch_sizes=(4, 8), max_batch_size=8)
    asked = running.beside([1.0, 2.0], [3.0, 4.0, 5.0])
    assert [one.result() for one in asked] == [[2.0, 4.0], [6.0, 8.0, 10.0]]
    assert running.inner.sizes == [4, 8]


def test_many_callers_all_get_what_is_theirs(start):
    running = start(num_batch_threads=2, max_batch_size=16)
    values = [[float(number), float(-number % 3)] for number in range(400)]
    answers = list(running.callers.map(running.ask, values))
    assert answers == [[2 * one, 2 * other] for one, other in values]
    assert len(running.inner.sizes) < 400


def test_parameters_are_read_from_the_real_server_s_file(tmp_path):
    path = tmp_path / "batching.config"
    path.write_text(
        """
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 500 }
        max_enqueued_batches { value: 100 }
        num_batch_threads { value: 2 }
        allowed_batch_sizes: 32
        allowed_batch_sizes: 128
        """
    )
    assert read_batching_parameters(path) == BatchingParameters(
        max_batch_size=128,
        batch_timeout_micros=500,
        max_enqueued_batches=100,
        num_batch_threads=2,
        allowed_batch_sizes=(32, 128),
    )


@pytest.mark.parametrize(
    "text",
    [
        "max_batch_size { value: 0 }",
        "max_batch_size: 3",
        "allowed_batch_sizes: 32",
        "batch_timeout_micros { value: -1 }",
        "unknown { value: 3 }",
    ],
)
def test_parameters_that_cannot_be_used_are_refused_by_the_file(tmp_path, text):
    path = tmp_path / "batching.config"
    path.write_text(text)
    with pytest.raises(ServerError, match=r"batching\.config"):
        read_batching_parameters(path)
