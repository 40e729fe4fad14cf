"""A registered version that cannot be loaded or asked is a verdict with its reason, no crash."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from smartgrid_assets.models.checks import ask_golden_batch, challenger_is_sound
from smartgrid_core.model_protocols import ModelVersion
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.export.artifact.golden import GOLDEN, write_golden
from smartgrid_ml.tensorflow_runtime import tensorflow
from tests.unit.smartgrid_assets.test_checks import Registry, evaluate

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

ROWS = pl.DataFrame({"level_kw": [1.0, 2.0], "mean_24h_kw": [3.0, 4.0]}).cast(pl.Float32)
ANSWERS = pl.DataFrame({"p10": [1.0, 2.0], "p50": [3.0, 4.0], "p90": [4.0, 6.0]})


def serve(level_kw, mean_24h_kw):
    return {"p10": level_kw, "p50": mean_24h_kw, "p90": level_kw + mean_24h_kw}


def answer_without_p90(level_kw, mean_24h_kw):
    return {"p10": level_kw, "p50": mean_24h_kw}


def refuse_all(level_kw, mean_24h_kw):
    tf = tensorflow()
    with tf.control_dependencies([tf.debugging.assert_less(level_kw, 0.0)]):
        return serve(tf.identity(level_kw), mean_24h_kw)


def saved(
    folder: Path,
    function: Callable[..., object] = serve,
    *,
    inputs: Sequence[str] = ROWS.columns,
    signature: str = "serving_default",
) -> Path:
    tf = tensorflow()
    concrete = tf.function(function).get_concrete_function(
        *(tf.TensorSpec([None], tf.float32, name=name) for name in inputs)
    )
    tf.saved_model.save(tf.Module(), str(folder), signatures={signature: concrete})
    write_golden(folder, rows=ROWS, quantiles=ANSWERS)
    return folder


def test_a_version_that_answers_as_offline_has_no_difference(tmp_path):
    golden = ask_golden_batch(saved(tmp_path / "model"))
    assert (golden.inputs, golden.difference, golden.error) == (
        ("level_kw", "mean_24h_kw"),
        0,
        None,
    )


def test_the_inputs_are_those_of_the_graph_not_of_the_golden_batch(tmp_path):
    def serve_sunshine(level_kw, sunshine):
        return serve(level_kw, sunshine)

    golden = ask_golden_batch(
        saved(tmp_path / "model", serve_sunshine, inputs=("level_kw", "sunshine"))
    )
    assert golden.inputs == ("level_kw", "sunshine")
    assert golden.difference is None
    assert "missing a required argument: 'sunshine'" in golden.error


def without_graph(model: Path) -> None:
    (model / "saved_model.pb").unlink()


def with_garbage(model: Path) -> None:
    (model / "saved_model.pb").write_bytes(b"no graph at all")


def with_nothing(model: Path) -> None:
    (model / "saved_model.pb").write_bytes(b"")


def with_torn_answers(model: Path) -> None:
    (model / GOLDEN).write_bytes(b"PAR1 torn")


def without_answers(model: Path) -> None:
    pl.read_parquet(model / GOLDEN).drop(OUTPUTS).write_parquet(model / GOLDEN)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (without_graph, "it cannot be loaded: SavedModel file does not exist"),
        (with_garbage, "it cannot be loaded: Cannot parse file"),
        (with_nothing, "it cannot be loaded: Importing a SavedModel"),
        (with_torn_answers, "golden.parquet cannot be read"),
        (without_answers, "golden.parquet cannot be read"),
        (lambda model: shutil.rmtree(model / "assets.extra"), "carries none"),
    ],
)
def test_a_damaged_folder_is_said(tmp_path, harm, reason):
    model = saved(tmp_path / "model")
    harm(model)
    golden = ask_golden_batch(model)
    assert (golden.inputs, golden.difference) == ((), None)
    assert reason in golden.error


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (answer_without_p90, "SavedModel: its signature has no output 'p90'"),
        (refuse_all, "SavedModel: Graph execution error:"),
    ],
)
def test_a_signature_that_fails_on_the_batch_is_said(tmp_path, function, reason):
    golden = ask_golden_batch(saved(tmp_path / "model", function))
    assert golden.inputs == ("level_kw", "mean_24h_kw")
    assert (golden.difference, golden.error) == (None, reason)


def test_a_version_under_another_signature_fails_its_check(handles, tmp_path):
    class OtherRegistry(Registry):
        def download(self, version: ModelVersion, folder: Path) -> Path:
            return saved(folder / "model", signature="predict_all")

    evaluation = evaluate(challenger_is_sound, handles | {"model_registry": OtherRegistry("3")})
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert evaluation.description.startswith(
        "its signature does not answer the golden batch: SavedModel: it has no signature"
        " serving_default; export it with export_forecaster"
    )
