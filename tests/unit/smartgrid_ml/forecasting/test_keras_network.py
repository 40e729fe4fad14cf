import time

import polars as pl
import pytest

from smartgrid_ml.forecasting.keras_network import KerasForecaster, KerasSettings
from smartgrid_ml.tensorflow_runtime import tensorflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]


@pytest.fixture(scope="module")
def halves(grid_features: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first 40 issue times to learn from, the last 10 to be judged by."""
    cut = grid_features["issue_time"].unique().sort()[40]
    return (
        grid_features.filter(pl.col("hour_start") < cut),
        grid_features.filter(pl.col("issue_time") >= cut),
    )


@pytest.fixture(scope="module")
def fitted(halves: tuple[pl.DataFrame, pl.DataFrame]) -> KerasForecaster:
    return KerasForecaster().fit(halves[0])


def test_the_network_beats_the_same_hour_of_yesterday_and_of_last_week(
    fitted: KerasForecaster, halves: tuple[pl.DataFrame, pl.DataFrame]
):
    test = halves[1]
    missed = (fitted.predict(test)["p50"] - test["load_kw"]).abs().mean()

    assert missed < (test["same_hour_1d_kw"] - test["load_kw"]).abs().mean()
    assert missed < (test["same_hour_7d_kw"] - test["load_kw"]).abs().mean()


def test_the_band_is_ordered_and_holds_about_eight_of_ten_hours(
    fitted: KerasForecaster, halves: tuple[pl.DataFrame, pl.DataFrame]
):
    test = halves[1]
    band = fitted.predict(test)
    held = (band["p10"] <= test["load_kw"]) & (test["load_kw"] <= band["p90"])

    assert ((band["p10"] <= band["p50"]) & (band["p50"] <= band["p90"])).all()
    assert band.schema == dict.fromkeys(["p10", "p50", "p90"], pl.Float64)
    assert 0.7 <= held.mean() <= 0.9


def test_training_twice_gives_the_same_network(halves: tuple[pl.DataFrame, pl.DataFrame]):
    train, test = halves
    short = KerasSettings(epochs=3)

    once, again = (KerasForecaster(short).fit(train).predict(test) for _ in range(2))

    assert once.equals(again)


def test_a_row_without_level_gets_no_forecast_and_unknown_inputs_do_not_hurt(
    fitted: KerasForecaster, halves: tuple[pl.DataFrame, pl.DataFrame]
):
    row = halves[1].head(1)
    unknown = row.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("level_kw",))
    gappy = row.with_columns(pl.selectors.starts_with("latest_") * None)

    assert fitted.predict(unknown).row(0) == (None, None, None)
    assert None not in fitted.predict(gappy).row(0)


def test_nothing_known_is_refused(grid_features: pl.DataFrame):
    with pytest.raises(ValueError, match="known load"):
        KerasForecaster().fit(grid_features.with_columns(load_kw=pl.lit(None, pl.Float64)))


def test_ten_thousand_rows_train_in_under_twenty_seconds_of_cpu(grid_features: pl.DataFrame):
    tensorflow()
    rows = pl.concat([grid_features] * 3).head(10_000)
    started = time.process_time()
    KerasForecaster().fit(rows)

    assert time.process_time() - started < 40, "20 s on two cores"
