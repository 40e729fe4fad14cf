import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl import h2o_cluster as h2o_cluster_module
from smartgrid_ml.automl.engine import load_engine
from smartgrid_ml.automl.h2o import keep_ready, train
from smartgrid_ml.automl.h2o_cluster import compute_heap_mb, open_h2o_cluster
from smartgrid_ml.automl.search import run_search
from smartgrid_ml.automl.trials import Budget
from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.forecasting.point import Rows
from smartgrid_ml.tensorflow_runtime import tensorflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

HOLD_A_NODE = """
import time
from smartgrid_ml.automl.h2o_cluster import open_h2o_cluster

with open_h2o_cluster(memory_mb=2_000):
    time.sleep(600)
"""

SEARCH = """
import numpy as np
from smartgrid_ml.automl.search import run_search
from smartgrid_ml.automl.trials import Budget
from smartgrid_ml.forecasting.point import Rows

inputs = np.random.default_rng(1).normal(size=(960, 2))
rows = Rows(["a", "b"], inputs, inputs[:, 0], np.ones(960), np.arange(960) // 24)
run_search("h2o", rows, budget=Budget(seconds=600, memory_mb=3_000))
"""


def rows() -> Rows:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(960, 4))
    inputs[rng.random(inputs.shape) < 0.03] = np.nan
    known = np.nan_to_num(inputs)
    target = 3 + np.sin(2 * known[:, 0]) + known[:, 1] * known[:, 2] / 2
    return Rows(list("abcd"), inputs, target, np.full(960, 10.0), np.arange(960) // 24)


def java_below(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if child.name() == "java"]


def test_a_search_finds_a_model_that_is_trained_again_and_exported():
    tf = tensorflow()
    learned = rows()
    idle = float(np.mean(np.abs(learned.target - np.median(learned.target)) * learned.size))

    found = run_search("h2o", learned, budget=Budget(seconds=240, trials=3, memory_mb=3_500))

    assert found.ended == "all trials used", found
    assert [trial.error for trial in found.trials] == [None] * 3
    assert found.best is not None
    assert found.best.recipe is not None
    assert found.best.score is not None
    assert 0 < found.best.score < idle
    assert found.best.memory_mb > 200
    model = load_engine("h2o").train(found.best.recipe, learned, seed=1)
    exported = build_regressor_graph(model)(tf.constant(learned.inputs)).numpy()
    np.testing.assert_allclose(exported, model.predict(learned.inputs), rtol=1e-4, atol=1e-7)
    assert not java_below(psutil.Process())


def test_with_no_time_at_all_a_model_is_found_and_trainings_share_a_node():
    learned = rows()

    found = run_search("h2o", learned, budget=Budget(seconds=0.1, memory_mb=3_500))

    assert found.ended == "budget used", found
    assert found.best is not None
    assert found.best.recipe is not None
    with keep_ready():
        first = train(found.best.recipe, learned, seed=1)
        nodes = java_below(psutil.Process())
        again = train(found.best.recipe, learned, seed=1)
        assert java_below(psutil.Process()) == nodes
        assert len(nodes) == 1
    assert not java_below(psutil.Process())
    np.testing.assert_allclose(again.predict(learned.inputs), first.predict(learned.inputs))


@pytest.mark.parametrize("program", [HOLD_A_NODE, SEARCH], ids=["alone", "in a search"])
def test_no_jvm_outlives_a_killed_process(program: str):
    holder = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    try:
        family = psutil.Process(holder.pid)
        deadline = time.monotonic() + 120
        while not (nodes := java_below(family)):
            assert holder.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    _, alive = psutil.wait_procs(nodes, timeout=20)
    assert not alive


def dies_of(sign: signal.Signals) -> str:
    """Return the error of a node of ours that a signal ends while it is in use."""
    try:
        with open_h2o_cluster(memory_mb=1_500) as h2o:
            (node,) = java_below(psutil.Process())
            node.send_signal(sign)
            node.wait(60)
            h2o.api("GET /3/Cloud")
    except SmartGridError as error:
        return str(error)
    raise AssertionError("it was not noticed")


def test_a_node_that_dies_in_use_says_how():
    assert re.search(r"JVM ended by itself: .*exit code 137", dies_of(signal.SIGKILL))
    assert re.search(r"JVM ended by itself: SIGSEGV.* at ", dies_of(signal.SIGSEGV))


def test_a_node_that_cannot_open_sessions_is_replaced(monkeypatch: pytest.MonkeyPatch):
    nodes: list[psutil.Process] = []
    connect = h2o_cluster_module._connect

    @contextlib.contextmanager
    def connected(*arguments: Any, **named: Any) -> Iterator[None]:
        with connect(*arguments, **named):
            nodes.extend(java_below(psutil.Process()))
            if len(nodes) == 1:
                nodes[0].kill()
                nodes[0].wait(60)
            yield

    monkeypatch.setattr(h2o_cluster_module, "_connect", connected)
    with open_h2o_cluster(memory_mb=1_500) as h2o:
        assert h2o.cluster().cloud_healthy
        assert len(nodes) >= 2
    assert not java_below(psutil.Process())


def test_a_named_cluster_is_used_and_left_running(monkeypatch: pytest.MonkeyPatch):
    with open_h2o_cluster(memory_mb=2_000) as ours:
        url = ours.connection().base_url
        kept = ours.H2OFrame([[1.0], [2.0]], destination_frame="not_ours")
        monkeypatch.setenv("SMARTGRID_H2O_URL", url)
        with open_h2o_cluster(memory_mb=2_000) as named:
            named.H2OFrame([[3.0]], destination_frame="made_meanwhile")
        ours.connect(url=url, verbose=False, strict_version_check=False)
        assert [frame["frame_id"]["name"] for frame in ours.api("GET /3/Frames")["frames"]] == [
            kept.frame_id
        ]


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SMARTGRID_H2O_URL", "http://127.0.0.1:1")

    with (
        pytest.raises(SmartGridError, match=r"SMARTGRID_H2O_URL at http://127\.0\.0\.1:1"),
        open_h2o_cluster(memory_mb=2_000),
    ):
        pass


def test_too_little_memory_is_refused_before_anything_starts():
    began = time.monotonic()

    with pytest.raises(SmartGridError, match="1,367 MB of memory or more, not 1,000"):
        compute_heap_mb(1_000)
    assert time.monotonic() - began < 1
