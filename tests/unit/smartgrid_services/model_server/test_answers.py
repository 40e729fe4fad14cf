"""Where a REST request is computed: at once if that is quick, beside otherwise."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.rest.answers import RequestedVersion, RestInference
from smartgrid_services.model_server.servables.signatures import Signature, TensorSpec
from smartgrid_services.model_server.version_manager import VersionManager

FLOAT = TensorSpec("DT_FLOAT", np.dtype(np.float32), (-1,))
SMALL = b'{"inputs": [1.5]}'
NEWEST = RequestedVersion("m", None, None)


class Timed:
    """Doubles x, and says it over and over, in the seconds it is told to take."""

    signature_map = None

    def __init__(self, *, steady=True):
        self.signatures = {
            name: Signature(name, {"x": FLOAT}, {"y": FLOAT})
            for name in ("serving_default", "other")
        }
        self.is_steady = steady
        self.seconds = 0.0001
        self.repeats = 1
        self.now = 0.0

    def run(self, signature, inputs, outputs):
        self.now += self.seconds
        return {"y": np.tile(2 * inputs["x"], self.repeats)}

    def close(self):
        pass


@pytest.fixture
def serve(tmp_path):
    def begin(servable):
        manager = VersionManager(lambda _: servable, keep=1)
        manager.refresh({"m": {1: tmp_path}})
        return RestInference(manager, Metrics(), thread_time=lambda: servable.now)

    return begin


def test_what_was_quick_is_computed_at_once(serve):
    servable = Timed()
    answers = serve(servable)
    assert not answers.is_quick("predict", NEWEST, SMALL)
    assert answers.infer("predict", NEWEST, SMALL) == b'{"outputs": [3.0]}'
    assert answers.is_quick("predict", NEWEST, SMALL)
    assert not answers.is_quick("predict", NEWEST, SMALL + b" " * 10_000)
    assert not answers.is_quick("predict", RequestedVersion("n", None, None), SMALL)
    assert not answers.is_quick("predict", RequestedVersion("m", None, "unknown"), SMALL)


def test_one_slow_answer_sends_the_next_ones_aside(serve):
    servable = Timed()
    answers = serve(servable)
    answers.infer("predict", NEWEST, SMALL)
    servable.seconds = 0.02
    answers.infer("predict", NEWEST, SMALL)
    servable.seconds = 0.0001
    answers.infer("predict", NEWEST, SMALL)
    assert not answers.is_quick("predict", NEWEST, SMALL)
    for _ in range(60):
        answers.infer("predict", NEWEST, SMALL)
    assert answers.is_quick("predict", NEWEST, SMALL)


def test_a_graph_with_a_loop_is_never_trusted(serve):
    answers = serve(Timed(steady=False))
    answers.infer("predict", NEWEST, SMALL)
    assert not answers.is_quick("predict", NEWEST, SMALL)


def test_a_large_answer_says_nothing_about_small_ones(serve):
    answers = serve(Timed())
    answers.infer("predict", NEWEST, SMALL + b" " * 10_000)
    assert not answers.is_quick("predict", NEWEST, SMALL)


def test_what_was_not_measured_is_not_trusted(serve):
    answers = serve(Timed())
    other = b'{"signature_name": "other", "inputs": [1.5]}'
    escaped = rb'{"signature\u005fname": "other", "inputs": [1.5]}'
    answers.infer("predict", NEWEST, SMALL)
    assert not answers.is_quick("classify", NEWEST, SMALL)
    assert not answers.is_quick("predict", NEWEST, other)
    assert not answers.is_quick("predict", NEWEST, escaped)
    answers.infer("predict", NEWEST, other)
    assert answers.is_quick("predict", NEWEST, other)
    assert answers.is_quick("predict", NEWEST, escaped)


def test_the_time_to_write_the_answer_counts(serve, monkeypatch):
    servable = Timed()
    answers = serve(servable)

    def slowly(outputs, *, layout):
        servable.now += 0.02
        return b"{}"

    with monkeypatch.context() as slow:
        slow.setattr("smartgrid_services.model_server.rest.answers.write_outputs", slowly)
        answers.infer("predict", NEWEST, SMALL)
    assert not answers.is_quick("predict", NEWEST, SMALL)


class Beside(ThreadPoolExecutor):
    """An executor that counts what it is given."""

    given = 0

    def submit(self, *arguments, **options):
        self.given += 1
        return super().submit(*arguments, **options)


def test_the_loop_writes_no_large_answer_even_of_a_signature_that_was_quick(serve):
    servable = Timed()
    answers = serve(servable)
    with Beside(1) as beside:

        def ask():
            return asyncio.run(answers.answer("predict", NEWEST, SMALL, beside=beside))

        assert ask() == ask() == b'{"outputs": [3.0]}'
        assert beside.given == 1
        servable.repeats = 5000
        assert len(json.loads(ask())["outputs"]) == 5000
        assert beside.given == 2
