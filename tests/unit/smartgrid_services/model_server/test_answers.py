"""Where a REST request is computed: at once if that is quick, beside otherwise."""

import numpy as np
import pytest

from smartgrid_services.model_server.catalog import Catalog
from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.rest.answers import Answers, Asked
from smartgrid_services.model_server.signatures import Signature, TensorSpec

FLOAT = TensorSpec("DT_FLOAT", np.dtype(np.float32), (-1,))
SMALL = b'{"inputs": [1.5]}'
NEWEST = Asked("m", None, None)


class Timed:
    """Doubles x in the seconds it is told to take."""

    signature_map = None

    def __init__(self, *, steady=True):
        self.signatures = {
            "serving_default": Signature("serving_default", {"x": FLOAT}, {"y": FLOAT})
        }
        self.is_steady = steady
        self.seconds = 0.0001
        self.now = 0.0

    def run(self, signature, inputs, outputs):
        self.now += self.seconds
        return {"y": 2 * inputs["x"]}

    def close(self):
        pass


@pytest.fixture
def serve(tmp_path):
    def begin(servable):
        catalog = Catalog(lambda _: servable, keep=1)
        catalog.refresh({"m": {1: tmp_path}})
        return Answers(catalog, Metrics(), thread_time=lambda: servable.now)

    return begin


def test_what_was_quick_is_computed_at_once(serve):
    servable = Timed()
    answers = serve(servable)
    assert not answers.is_quick(NEWEST, SMALL)
    assert answers.infer("predict", NEWEST, SMALL) == b'{"outputs": [3.0]}'
    assert answers.is_quick(NEWEST, SMALL)
    assert not answers.is_quick(NEWEST, SMALL + b" " * 10_000)
    assert not answers.is_quick(Asked("n", None, None), SMALL)
    assert not answers.is_quick(Asked("m", None, "unknown"), SMALL)


def test_one_slow_answer_sends_the_next_ones_aside(serve):
    servable = Timed()
    answers = serve(servable)
    answers.infer("predict", NEWEST, SMALL)
    servable.seconds = 0.02
    answers.infer("predict", NEWEST, SMALL)
    servable.seconds = 0.0001
    answers.infer("predict", NEWEST, SMALL)
    assert not answers.is_quick(NEWEST, SMALL)
    for _ in range(60):
        answers.infer("predict", NEWEST, SMALL)
    assert answers.is_quick(NEWEST, SMALL)


def test_a_graph_with_a_loop_is_never_trusted(serve):
    answers = serve(Timed(steady=False))
    answers.infer("predict", NEWEST, SMALL)
    assert not answers.is_quick(NEWEST, SMALL)


def test_a_large_answer_says_nothing_about_small_ones(serve):
    answers = serve(Timed())
    answers.infer("predict", NEWEST, SMALL + b" " * 10_000)
    assert not answers.is_quick(NEWEST, SMALL)
