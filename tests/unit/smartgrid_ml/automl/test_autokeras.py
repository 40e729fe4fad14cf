import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smartgrid_ml.automl import autokeras
from smartgrid_ml.automl.searched_network import SearchedNetwork
from smartgrid_ml.automl.trials import INNER_FOLDS, Budget, Trial
from smartgrid_ml.forecasting.point import Rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    # Keras Tuner asks for the thread's name in the old way.
    pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:getName:DeprecationWarning"),
]

ISSUES = 42


def curved_rows(*, noise: float = 0.02) -> Rows:
    """Loads of 100 kW that bend with two of four inputs; a twentieth of the inputs unknown."""
    random = np.random.default_rng(2)
    inputs = random.normal(size=(ISSUES * 24, 4)) * [1, 1, 1e4, 1e-3]
    target = 1 + 0.2 * inputs[:, 0] + 0.3 * np.abs(inputs[:, 1])
    target += noise * random.normal(size=len(inputs))
    inputs[random.random(inputs.shape) < 0.05] = np.nan
    return Rows(
        [f"input_{place}" for place in range(4)],
        inputs,
        target,
        np.full(len(inputs), 100.0),
        np.repeat(np.arange(ISSUES), 24),
    )


@pytest.fixture(scope="module", autouse=True)
def few_epochs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autokeras, "EPOCHS", 12)
        yield


@pytest.fixture(scope="module")
def rows() -> Rows:
    return curved_rows()


@pytest.fixture(scope="module")
def trials_of_search(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Trial]]:
    """What a search of two trials reported."""
    trials: list[Trial] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("search"))
        autokeras.search(rows, budget=Budget(600.0, trials=2), seed=1, report=trials.append)
        assert list(Path.cwd().iterdir()), "AutoKeras works in the folder it runs in"
        yield trials


@pytest.fixture(scope="module")
def trained(trials_of_search: list[Trial], rows: Rows) -> SearchedNetwork:
    return autokeras.train(trials_of_search[0].recipe or {}, rows, seed=1)


def test_every_trial_tells_its_choices_and_a_score_per_fold_in_the_unit_of_the_load(
    trials_of_search: list[Trial], rows: Rows
):
    spread = float(np.abs(rows.target - np.median(rows.target)).mean() * 100)

    assert [trial.number for trial in trials_of_search] == [1, 2]
    assert [trial.error for trial in trials_of_search] == [None] * 2
    for trial in trials_of_search:
        assert len(trial.fold_scores) == INNER_FOLDS
        assert all(0 < score < spread for score in trial.fold_scores)
        assert trial.seconds > 0
        assert trial.memory_mb > 100
        assert "dense/num_layers" in trial.parameters
    assert (
        len({json.dumps(dict(trial.parameters), sort_keys=True) for trial in trials_of_search}) == 2
    )


def test_a_recipe_written_as_json_builds_the_same_network_again_and_again(
    trials_of_search: list[Trial], trained: SearchedNetwork, rows: Rows
):
    recipe = json.loads(json.dumps(trials_of_search[0].recipe))

    again = autokeras.train(recipe, rows, seed=1)

    np.testing.assert_array_equal(again.predict(rows.inputs), trained.predict(rows.inputs))
    units = [
        [len(step.weights[1]) for step in network.steps if step.kind == "dense"]
        for network in again.networks
    ]
    chosen = [
        trials_of_search[0].parameters[f"dense/units_{layer}"]
        for layer in range(trials_of_search[0].parameters["dense/num_layers"])
    ]
    assert units == [[*chosen, 1]] * autokeras.NETWORKS


def test_a_network_learns_what_a_line_cannot(trained: SearchedNetwork, rows: Rows):
    known = np.nan_to_num((rows.inputs - trained.input_mean) / trained.input_std)
    line = known @ trained.slopes + trained.intercept

    missed = np.abs(trained.predict(rows.inputs) - rows.target).mean()
    assert missed < 0.6 * np.abs(line - rows.target).mean()


def test_a_recipe_that_leaves_a_choice_open_is_refused(rows: Rows):
    with pytest.raises(ValueError, match=r"does not say .*dense/units_0"):
        autokeras.train({"hyperparameters": {"dense/num_layers": 2}}, rows, seed=1)


def test_a_search_ends_by_itself_and_scores_its_first_trial_with_no_time_at_all(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autokeras, "LEAST_TRAINING_S", 1.0)
    trials: list[Trial] = []

    autokeras.search(rows, budget=Budget(0.1), seed=1, report=trials.append)

    assert [(trial.number, trial.error) for trial in trials] == [(1, None)]
    assert trials[0].recipe is not None


def test_a_network_too_large_is_a_trial_with_its_error(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autokeras, "MOST_PARAMETERS", 10)
    trials: list[Trial] = []

    autokeras.search(rows, budget=Budget(600.0, trials=2), seed=1, report=trials.append)

    assert [trial.recipe for trial in trials] == [None, None]
    assert all("Oversized" in str(trial.error) for trial in trials)
