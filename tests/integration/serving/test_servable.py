"""A SavedModel loaded in this process."""

from itertools import combinations, permutations

import numpy as np
import pytest

from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.servables import servable

pytestmark = pytest.mark.xdist_group("model_server")

EXPECTED = {"p10": 1.0, "p50": 2.0, "p90": 3.0}


@pytest.fixture(scope="module")
def loaded(saved_models):
    model = servable.load_servable(saved_models / "times_1", Metrics())
    yield model
    model.close()


def ask(model, outputs):
    inputs = {name: np.ones(1, dtype=np.float32) for name in ("load_kw", "temperature_c")}
    computed = model.run(model.signatures["serving_default"], inputs, outputs)
    return [(name, float(array[0])) for name, array in computed.items()]


def test_outputs_come_in_the_order_asked_for_from_one_callable(loaded):
    for outputs in permutations(EXPECTED):
        assert ask(loaded, outputs) == [(name, EXPECTED[name]) for name in outputs]
    assert len(loaded._callables) == 1


def test_however_many_choices_of_outputs_are_asked_for_few_callables_are_kept(loaded, monkeypatch):
    monkeypatch.setattr(servable, "_MOST_CALLABLES", 2)
    for _ in range(2):
        for size in (1, 2, 3):
            for outputs in combinations(EXPECTED, size):
                assert ask(loaded, outputs) == [(name, EXPECTED[name]) for name in outputs]
                assert len(loaded._callables) <= 2
