import subprocess
import sys

import numpy as np
import pytest

from smartgrid_ml.automl import tpot
from smartgrid_ml.automl.search import run_search
from smartgrid_ml.automl.trials import INNER_FOLDS, Budget
from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.forecasting.point import Rows
from smartgrid_ml.tensorflow_runtime import tensorflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]


def rows(n: int = 2400) -> Rows:
    """A load that follows three inputs; a twentieth of them is unknown, and all of the last."""
    random = np.random.default_rng(3)
    inputs = random.normal(size=(n, 6))
    target = 2 * inputs[:, 0] + np.sin(3 * inputs[:, 1]) + (inputs[:, 2] > 0)
    target += random.normal(size=n) / 10
    inputs[random.random(inputs.shape) < 0.05] = np.nan
    inputs[:, 5] = np.nan
    return Rows(
        [f"input_{place}" for place in range(6)],
        inputs,
        target,
        np.full(n, 100.0),
        np.arange(n) // 24,
    )


def test_a_short_search_finds_a_pipeline_that_can_be_trained_again_and_served():
    learned = rows()
    reported = []
    found = run_search(
        "tpot",
        learned,
        budget=Budget(60, trials=4),
        seed=1,
        on_trial=lambda engine, trial: reported.append((engine, trial.number)),
    )

    assert found.ended == "all trials used", found.ended
    assert reported == [("tpot", number) for number in range(4)]
    scored = [trial for trial in found.trials if trial.error is None]
    assert scored
    for trial in scored:
        assert len(trial.fold_scores) == INNER_FOLDS
        assert trial.seconds > 0
        assert trial.memory_mb > 50
        assert "model" in trial.parameters
    best = found.best
    assert best is not None
    assert best.recipe is not None
    _, (train, validate) = learned.split_folds(INNER_FOLDS)
    guess = float(np.mean(np.abs(validate.target - np.median(train.target)) * validate.size))
    assert best.score is not None
    assert best.score < guess / 2, "better than no model at all"

    model = tpot.train(best.recipe, train, seed=1)
    offline = model.predict(validate.inputs)
    error = float(np.mean(np.abs(offline - validate.target) * validate.size))
    assert error == pytest.approx(best.fold_scores[1], rel=0.05), "the recipe is what was scored"
    exported = build_regressor_graph(model)(tensorflow().constant(validate.inputs))
    np.testing.assert_allclose(np.asarray(exported), offline, rtol=1e-4, atol=1e-4)


def test_with_no_time_at_all_the_first_pipeline_is_still_found():
    found = run_search("tpot", rows(600), budget=Budget(0.1))

    assert found.ended == "budget used"
    assert found.best is not None


CLUSTER = """
import sys
from distributed import LocalCluster
with LocalCluster(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None,
                  protocol="tcp", host="127.0.0.1") as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
    print(len(cluster.scheduler.workers), flush=True)
"""


def test_a_named_dask_cluster_evaluates_and_is_left_running(monkeypatch: pytest.MonkeyPatch):
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        monkeypatch.setenv(tpot.URL_SETTING, cluster.stdout.readline().strip())
        found = run_search("tpot", rows(600), budget=Budget(120, trials=2))
        left, _ = cluster.communicate("", timeout=30)

    assert found.ended == "all trials used", found.ended
    assert found.best is not None
    assert left.strip() == "1", "its worker is still there"
