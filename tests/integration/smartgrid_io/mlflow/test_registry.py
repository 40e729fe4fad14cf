import json
import subprocess
import sys
import time
import uuid
from datetime import date
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest
from matplotlib.figure import Figure

from smartgrid_core.errors import ConfigurationError, PublicationError
from smartgrid_core.model_protocols import ModelVersion
from smartgrid_core.time import Window
from smartgrid_io.mlflow.aliases import MlflowAliases
from smartgrid_io.mlflow.registry import MlflowRegistry

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]

WINDOW = Window.of_days(date(2025, 1, 1), date(2025, 3, 31))
EXAMPLE = pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, float("nan")]})


@pytest.fixture
def registry(mlflow_url: str) -> MlflowRegistry:
    return MlflowRegistry(mlflow_url)


@pytest.fixture
def experiment() -> str:
    return f"load-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "model"
    maker = Path(__file__).with_name("saved_model.py")
    subprocess.run([sys.executable, maker, folder], check=True, capture_output=True, timeout=200)
    return folder


def trained(registry: MlflowRegistry, experiment: str, **tags: str) -> str:
    return registry.log_training(
        experiment, params={"trees": 800}, metrics={"mae": 1.5}, data_window=WINDOW, tags=tags
    )


def run_of(registry: MlflowRegistry, run_id: str):
    from mlflow.client import MlflowClient

    return MlflowClient(registry.tracking_uri).get_run(run_id)


def artifacts(registry: MlflowRegistry, run_id: str) -> list[str]:
    from mlflow.client import MlflowClient

    return sorted(a.path for a in MlflowClient(registry.tracking_uri).list_artifacts(run_id))


def test_a_training_is_written_down_with_window_scores_plots_and_tables(
    registry: MlflowRegistry, experiment: str
):
    run_id = registry.log_training(
        experiment,
        params={"trees": 800, "seeds": (1, 2)},
        metrics={"mae": 1.5, "mape": None, "mae/Feeder 1 (süd)": 2.5},
        data_window=WINDOW,
        figures={
            "band": go.Figure(go.Scatter(y=[1, 2])),
            "coverage": go.Figure(go.Bar(y=[1, 2])),
            "drawn": Figure(),
            "report": "<!doctype html><p>ours",
        },
        tables={"leaderboard": pl.DataFrame({"model": ["keras"], "mae": [1.5]})},
        tags={"fingerprint": "f1"},
        run_name="keras",
    )
    run = run_of(registry, run_id)

    assert run.data.params == {
        "trees": "800",
        "seeds": "(1, 2)",
        "data_start": "2025-01-01T00:00:00+00:00",
        "data_end": "2025-04-01T00:00:00+00:00",
    }
    assert run.data.metrics == {"mae": 1.5, "mae/Feeder 1 _süd_": 2.5}
    assert run.info.run_name == "keras"
    assert run.info.status == "RUNNING"
    assert artifacts(registry, run_id) == [
        "drawn.png",
        "figures.html",
        "leaderboard.csv",
        "report.html",
    ]


def test_a_training_that_cannot_be_written_down_ends_failed(
    registry: MlflowRegistry, experiment: str
):
    with pytest.raises(ValueError, match="many"):
        registry.log_training(
            experiment,
            params={},
            metrics={"mae": "many"},  # type: ignore[dict-item] # what is to fail
            data_window=WINDOW,
            tags={"fingerprint": "f2"},
        )
    from mlflow.client import MlflowClient

    client = MlflowClient(registry.tracking_uri)
    found = client.get_experiment_by_name(experiment)
    assert [run.info.status for run in client.search_runs([found.experiment_id])] == ["FAILED"]


def test_a_saved_model_is_registered_once_and_comes_back_byte_by_byte(
    registry: MlflowRegistry, experiment: str, saved_model: Path, tmp_path: Path
):
    name = f"forecaster_{uuid.uuid4().hex[:8]}"
    run_id = trained(registry, experiment)
    uri = registry.log_saved_model(run_id, saved_model, example=EXAMPLE)
    version = registry.register(name, run_id)
    registry.finish(run_id, "FINISHED")

    assert version == ModelVersion(name, "1", run_id)
    assert registry.log_saved_model(run_id, saved_model, example=EXAMPLE) == uri
    assert registry.register(name, run_id) == version, "the same run is no second version"

    place = registry.download(version, tmp_path / "fetched")
    assert {
        path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()
    } == {
        path.relative_to(saved_model): path.read_bytes()
        for path in saved_model.rglob("*")
        if path.is_file()
    }
    assert json.loads((place.parent / "input_example.json").read_text()) == {
        "columns": ["a", "b"],
        "data": [[1.0, 3.0], [2.0, None]],
    }


def test_people_see_the_signature_and_the_input_example_of_a_version(
    registry: MlflowRegistry, experiment: str, saved_model: Path, tmp_path: Path
):
    from mlflow.models import Model

    run_id = trained(registry, experiment)
    registry.log_saved_model(run_id, saved_model, example=EXAMPLE)
    version = registry.register(f"forecaster_{uuid.uuid4().hex[:8]}", run_id)
    described = Model.load(str(registry.download(version, tmp_path).parent))

    assert [(i.name, i.type.name, i.shape) for i in described.signature.inputs.inputs] == [
        ("a", "float32", (-1,)),
        ("b", "float32", (-1,)),
    ]
    assert described.signature.outputs.input_names() == ["p10", "p50", "p90"]
    assert described.saved_input_example_info["artifact_path"] == "input_example.json"
    assert set(described.flavors) == {"python_function", "tensorflow"}


def test_an_alias_moves_from_one_version_to_the_next(
    registry: MlflowRegistry, experiment: str, saved_model: Path
):
    name = f"forecaster_{uuid.uuid4().hex[:8]}"
    assert registry.find_by_alias(name, "champion") is None, "there is no such model"
    versions = []
    for _ in range(2):
        run_id = trained(registry, experiment)
        registry.log_saved_model(run_id, saved_model, example=EXAMPLE)
        versions.append(registry.register(name, run_id))
    assert registry.find_by_alias(name, "champion") is None, "nobody bears it yet"

    for version in versions:
        registry.set_alias(name, "champion", version.version)

    assert registry.find_by_alias(name, "champion") == ModelVersion(
        name, "2", versions[1].run_id, ("champion",)
    )

    MlflowAliases(registry.tracking_uri).set_alias(name, "champion", "1")
    assert registry.find_by_alias(name, "champion") == ModelVersion(
        name, "1", versions[0].run_id, ("champion",)
    )
    with pytest.raises(PublicationError, match=r"refused the alias: .*nobody"):
        MlflowAliases(registry.tracking_uri).set_alias("nobody", "champion", "1")


def test_a_run_without_saved_model_cannot_be_registered(registry: MlflowRegistry, experiment: str):
    run_id = trained(registry, experiment)

    with pytest.raises(PublicationError, match="log_saved_model first"):
        registry.register("never", run_id)


def test_a_finished_training_is_found_by_its_fingerprint_a_killed_one_is_closed(
    registry: MlflowRegistry, experiment: str
):
    assert registry.find_by_tag(experiment, "print", "x") is None, "no such experiment yet"
    killed = trained(registry, experiment, print="x")
    assert registry.find_by_tag(experiment, "print", "x") is None

    assert registry.fail_unfinished(experiment, "print", "x") == 1
    assert run_of(registry, killed).info.status == "FAILED"
    finished = trained(registry, experiment, print="x")
    registry.finish(finished, "FINISHED")

    assert registry.find_by_tag(experiment, "print", "x") == finished
    assert registry.find_by_tag(experiment, "print", "y") is None
    assert registry.fail_unfinished(experiment, "print", "x") == 0


def test_a_server_that_is_away_is_named_with_the_mend():
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:9 .*SMARTGRID_MLFLOW_URL"):
        MlflowRegistry("http://127.0.0.1:9").finish("any", "FAILED")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "sqlite:///mlflow.db"])
def test_aliases_that_cannot_be_moved_over_http_say_so(url: str):
    with pytest.raises(ConfigurationError, match=r"MLflow does not answer at|over HTTP"):
        MlflowAliases(url).set_alias("any", "champion", "1")


def test_a_version_tells_on_what_it_was_trained(registry: MlflowRegistry, experiment: str):
    run_id = trained(registry, experiment)
    assert registry.read_params(ModelVersion("any", "1", run_id)) == {
        "trees": "800",
        "data_start": "2025-01-01T00:00:00+00:00",
        "data_end": "2025-04-01T00:00:00+00:00",
    }


def test_a_trial_is_a_finished_run_within_its_parent_with_a_score_per_fold(
    registry: MlflowRegistry, experiment: str
):
    from mlflow.client import MlflowClient

    parent = trained(registry, experiment)
    run_id = registry.log_trial(
        parent,
        name="tpot 7",
        params={"depth": 3, "selector (best)": "x" * 9_000, **{f"gene_{n}": n for n in range(150)}},
        fold_scores=[2.0, 4.0],
        seconds=12.5,
        memory_mb=800.0,
    )
    run = run_of(registry, run_id)
    history = MlflowClient(registry.tracking_uri).get_metric_history(run_id, "fold_mae")

    assert (run.info.status, run.info.run_name) == ("FINISHED", "tpot 7")
    assert run.info.experiment_id == run_of(registry, parent).info.experiment_id
    assert run.info.end_time - run.info.start_time == 12_500
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert len(run.data.params) == 152
    assert run.data.params["depth"] == "3"
    assert run.data.metrics == {"mae": 3.0, "fold_mae": 4.0, "seconds": 12.5, "memory_mb": 800.0}
    assert sorted((one.step, one.value) for one in history) == [(0, 2.0), (1, 4.0)]


def test_a_failed_trial_says_why(registry: MlflowRegistry, experiment: str):
    parent = trained(registry, experiment)
    run_id = registry.log_trial(
        parent, name="h2o 1", params={}, fold_scores=(), seconds=0.0, memory_mb=1.0, error="no JVM"
    )
    run = run_of(registry, run_id)

    assert (run.info.status, run.data.tags["smartgrid.error"]) == ("FAILED", "no JVM")
    assert run.data.metrics == {"seconds": 0.0, "memory_mb": 1.0}


def test_a_trial_costs_few_calls_and_a_server_that_went_away_is_noticed_at_once(
    registry: MlflowRegistry, experiment: str
):
    parent = trained(registry, experiment)
    trial = {"name": "t", "params": {"depth": 1}, "fold_scores": [1.0], "seconds": 1.0}
    registry.log_trial(parent, **trial, memory_mb=1.0)
    began = time.monotonic()
    for _ in range(10):
        registry.log_trial(parent, **trial, memory_mb=1.0)
    assert time.monotonic() - began < 10.0

    registry.tracking_uri = "http://127.0.0.1:9"
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match="MLflow does not answer"):
        registry.log_trial(parent, **trial, memory_mb=1.0)
    assert time.monotonic() - began < 6.0
