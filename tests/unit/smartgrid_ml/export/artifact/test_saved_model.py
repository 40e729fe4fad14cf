from pathlib import Path

import numpy as np
import polars as pl
import pytest

from smartgrid_core.errors import PublicationError
from smartgrid_core.features.load import FEATURES, SCALES
from smartgrid_ml.export.artifact.parity import as_served, ask_saved_model, check_export_parity
from smartgrid_ml.export.artifact.rounding import as_float32, to_float64
from smartgrid_ml.export.artifact.saved_model import export_forecaster, refuse_python_ops
from smartgrid_ml.forecasting.boosting import BoostingForecaster, BoostingSettings
from smartgrid_ml.forecasting.ensemble import EnsembleForecaster
from smartgrid_ml.forecasting.keras_network import KerasForecaster, KerasSettings
from smartgrid_ml.forecasting.naive import NaiveForecaster
from smartgrid_ml.forecasting.protocol import ServableForecaster
from smartgrid_ml.tensorflow_runtime import tensorflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

SMALL_TREES = BoostingSettings(trees=40, leaves=31, rows_per_leaf=10, threads=1)


@pytest.fixture(scope="module", params=["boosting", "keras", "ensemble"])
def fitted(request: pytest.FixtureRequest, grid_features: pl.DataFrame) -> ServableForecaster:
    boosting = BoostingForecaster(SMALL_TREES)
    keras = KerasForecaster(KerasSettings(epochs=3))
    both = EnsembleForecaster(
        {"boosting": boosting, "keras": keras}, weights={"boosting": 0.75, "keras": 0.25}
    )
    each: list[ServableForecaster] = [boosting, keras, both]
    return next(one for one in each if one.name == request.param).fit(grid_features)


@pytest.fixture(scope="module")
def exported(fitted: ServableForecaster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_forecaster(fitted, tmp_path_factory.mktemp("export") / "model")


def wild_rows(n: int) -> pl.DataFrame:
    """Features of any size and sign, a tenth unknown, some infinite, some zero; levels positive."""
    random = np.random.default_rng(11)
    size = random.choice([1e-9, 1.0, 1.0, 1.0, 1e6], size=(n, len(FEATURES)))
    values = random.normal(size=size.shape) * 100 * size
    for odd, share in ((np.nan, 0.1), (np.inf, 0.01), (-np.inf, 0.01), (0.0, 0.03)):
        values[random.random(values.shape) < share] = odd
    level = np.where(random.random(n) < 0.1, np.nan, size[:, 0] * 100)
    return pl.DataFrame(values, schema=list(FEATURES)).with_columns(
        lead_hours=pl.Series(random.integers(0, 40, n)),
        **{
            name: pl.Series(level * share)
            for name, share in zip(SCALES, (1, 0.8, 0.3), strict=True)
        },
    )


def test_the_signature_has_one_input_per_feature_and_three_quantiles(
    fitted: ServableForecaster, exported: Path
):
    tf = tensorflow()
    loaded = tf.saved_model.load(str(exported))
    signature = loaded.signatures["serving_default"]
    _, inputs = signature.structured_input_signature

    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in inputs.items()} == {
        name: (tf.float32, [None]) for name in fitted.feature_names
    }
    assert {
        name: (spec.dtype, spec.shape.as_list())
        for name, spec in signature.structured_outputs.items()
    } == {name: (tf.float32, [None]) for name in ("p10", "p50", "p90")}


def test_the_export_says_what_the_forecaster_says_on_12000_wild_rows(
    fitted: ServableForecaster, exported: Path
):
    rows = as_served(wild_rows(12_000), inputs=tuple(fitted.feature_names))

    assert check_export_parity(fitted, exported, rows=rows, tolerance=1e-6) <= 1e-6


def test_the_export_says_what_the_forecaster_says_of_the_grid(
    fitted: ServableForecaster, exported: Path, grid_features: pl.DataFrame
):
    rows = as_served(grid_features, inputs=tuple(fitted.feature_names))
    answers = ask_saved_model(exported, rows)

    assert check_export_parity(fitted, exported, rows=rows, tolerance=1e-6) <= 1e-6
    assert ((answers["p10"] <= answers["p50"]) & (answers["p50"] <= answers["p90"])).all()
    assert not answers["p50"].is_nan().any()


def test_numbers_too_small_for_ordinary_float32_are_kept():
    tf = tensorflow()
    least, normal = np.float32(1e-45), np.float32(2**-126)
    wire = np.array([least, -least, normal / 2, -normal, 0.0, -1.5, np.inf, np.nan], np.float32)

    np.testing.assert_array_equal(
        tf.function(to_float64)(tf.constant(wire)), wire.astype(np.float64)
    )
    np.testing.assert_array_equal(
        tf.function(as_float32)(tf.constant(wire.astype(np.float64) * 1.3)),
        (wire.astype(np.float64) * 1.3).astype(np.float32).astype(np.float64),
    )


def test_an_empty_batch_gets_an_empty_answer(fitted: ServableForecaster, exported: Path):
    none = as_served(wild_rows(0), inputs=tuple(fitted.feature_names))

    assert ask_saved_model(exported, none).height == 0


def test_a_folder_in_use_is_left_alone(fitted: ServableForecaster, exported: Path):
    before = {path: path.stat().st_mtime_ns for path in exported.rglob("*")}

    with pytest.raises(PublicationError, match="not empty"):
        export_forecaster(fitted, exported)
    assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} == before


def test_a_forecaster_without_export_is_refused(tmp_path: Path):
    naive = NaiveForecaster("naive_24h", repeats=["same_hour_1d_kw"])

    with pytest.raises(PublicationError, match="NaiveForecaster; choose one of boosting, keras"):
        export_forecaster(naive, tmp_path / "model")  # type: ignore[arg-type] # what is to be refused


def test_a_graph_that_calls_back_into_python_is_refused(tmp_path: Path):
    tf = tensorflow()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def through_python(x):
        return {"p50": tf.numpy_function(lambda values: values * 2, [x], tf.float32)}

    module = tf.Module()
    module.through_python = through_python
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=through_python)

    with pytest.raises(PublicationError, match="PyFunc"):
        refuse_python_ops(tmp_path / "model")
