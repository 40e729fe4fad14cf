import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from smartgrid_core.errors import PublicationError
from smartgrid_core.features.load import build_load_features
from smartgrid_ml.evaluation.backtest import (
    FORECAST_SCHEMA,
    LEADERBOARD_SCHEMA,
    BacktestSettings,
    backtest_models,
    choose_servable,
)
from smartgrid_ml.forecasting.registry import create_forecaster
from smartgrid_ml.progress import FitProgress, TrainingProgress

START = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def features() -> pl.DataFrame:
    hours = range(50 * 24)
    rows = pl.DataFrame(
        {
            "feeder_id": [f for f in ("F1", "F2") for _ in hours],
            "hour_start": [START + n * HOUR for _ in ("F1", "F2") for n in hours],
            "load_kw": [float(size + n % 24) for size in (10, 100) for n in hours],
        }
    ).with_columns(pl.col("hour_start").cast(pl.Datetime("us", "UTC")))
    issues = [START + n * DAY for n in range(23, 50)]
    return build_load_features(rows, issue_times=issues, timezone="UTC", country=None)


class Yesterday:
    """Repeats yesterday; tells the last hour that it was trained on."""

    def __init__(self, name: str, last_hours: list[datetime]) -> None:
        self.name = name
        self._last_hours = last_hours

    def fit(self, features):
        self._last_hours.append(features["hour_start"].max())
        return self

    def predict(self, features):
        same = pl.col("same_hour_1d_kw")
        return features.select(p10=same, p50=same, p90=same)


class Broken:
    name = "broken"

    def fit(self, _):
        raise RuntimeError("no luck")


def run(
    features,
    models=("naive_24h", "naive_168h"),
    *,
    test_start=START + 40 * DAY,
    test_end=START + 50 * DAY,
    folds=1,
    **how,
):
    settings = BacktestSettings(models, test_start=test_start, test_end=test_end, folds=folds)
    return backtest_models(features, settings, **how)


def test_naive_rows_are_perfect_on_a_load_that_repeats_every_day(features):
    result = run(features)
    assert dict(result.leaderboard.schema) == dict(LEADERBOARD_SCHEMA)
    assert dict(result.forecasts.schema) == dict(FORECAST_SCHEMA)
    assert result.leaderboard.select("series", "model", "mae", "coverage", "error").rows() == [
        (series, model, 0, 1, None)
        for series in ("F1", "F2", "all")
        for model in ("naive_168h", "naive_24h")
    ]
    assert result.forecasts.height == 2 * 2 * 10 * 24
    assert set(result.fitted) == {"naive_24h", "naive_168h"}


def test_forecasts_carry_the_actuals_of_the_test_span_alone(features):
    rows = run(features, models=["naive_24h"]).forecasts
    assert (rows["issue_time"].min(), rows["issue_time"].max()) == (
        START + 40 * DAY,
        START + 49 * DAY,
    )
    expected = features.filter(pl.col("issue_time") >= START + 40 * DAY)
    assert_frame_equal(
        rows.select(feeder_id="series", hour_start="time", load_kw="actual"),
        expected.select("feeder_id", "hour_start", "load_kw"),
    )


@pytest.mark.parametrize(("folds", "origins"), [(1, [40]), (2, [40, 45]), (3, [40, 44, 48])])
def test_each_fold_is_trained_strictly_before_its_own_span(features, folds, origins):
    last_hours: list[datetime] = []
    result = run(
        features, models=["yesterday"], folds=folds, make=lambda name: Yesterday(name, last_hours)
    )
    assert last_hours == [START + day * DAY - HOUR for day in origins]
    assert result.forecasts["issue_time"].n_unique() == 10


def test_each_training_is_reported_with_its_model_and_fold(features):
    reported: list[TrainingProgress] = []

    run(features, models=["naive_24h", "naive_168h"], folds=2, on_progress=reported.append)

    assert reported == [
        FitProgress("naive_24h", 1, 2, 1, 2),
        FitProgress("naive_24h", 1, 2, 2, 2),
        FitProgress("naive_168h", 2, 2, 1, 2),
        FitProgress("naive_168h", 2, 2, 2, 2),
    ]


def test_a_model_that_fails_costs_its_own_rows_alone(features):
    def make(name):
        return Broken() if name == "broken" else Yesterday(name, [])

    result = run(features, models=["broken", "yesterday"], make=make)
    failed = result.leaderboard.filter(pl.col("model") == "broken")
    assert failed.select("series", "mae", "error").rows() == [
        (series, None, "RuntimeError: no luck") for series in ("F1", "F2", "all")
    ]
    assert result.leaderboard.filter(pl.col("model") == "yesterday")["mae"].null_count() == 0
    assert set(result.fitted) == {"yesterday"}


class Biased:
    """Answers yesterday's load, moved by a bias, and keeps what it was trained up to."""

    feature_names = ("same_hour_1d_kw",)

    def __init__(self, name: str, bias: float, last_hours: list[datetime]) -> None:
        self.name = name
        self._bias = bias
        self._last_hours = last_hours

    def fit(self, features):
        self._last_hours.append(features["hour_start"].max())
        return self

    def predict(self, features):
        answer = pl.col("same_hour_1d_kw") + self._bias
        return features.select(p10=answer - 1, p50=answer, p90=answer + 1)


def blend(features, last_hours, **settings):
    bias = {"boosting": 8.0, "keras": -8.0}

    def make(name):
        return Biased(name, bias[name], last_hours) if name in bias else create_forecaster(name)

    return run(features, models=["naive_24h", *bias, "ensemble"], make=make, **settings)


def test_the_ensemble_blends_what_can_be_served_by_weights_of_days_before_its_own(features):
    last_hours: list[datetime] = []
    result = blend(features, last_hours, test_start=START + 49 * DAY)
    assert last_hours == [START + day * DAY - HOUR for day in (44, 49)] * 2
    assert result.forecasts.filter(pl.col("model") == "ensemble").height == 2 * 24
    assert result.forecasts["issue_time"].min() == START + 49 * DAY
    board = result.leaderboard.filter(pl.col("series") == "all")
    losses = dict(board.select("model", "pinball").rows())
    assert losses["ensemble"] < min(losses["boosting"], losses["keras"])
    recipe = json.loads(board.filter(pl.col("model") == "ensemble")["recipe"].item())
    assert set(recipe["weights"]) == {"boosting", "keras"}
    assert result.fitted["ensemble"].recipe == recipe


def test_where_the_past_is_too_short_to_choose_weights_they_are_equal(features):
    last_hours: list[datetime] = []
    result = blend(features.filter(pl.col("issue_time") >= START + 38 * DAY), last_hours)
    assert last_hours == [START + 40 * DAY - HOUR] * 2
    ensemble = result.forecasts.filter(pl.col("model") == "ensemble").sort("series", "time")
    both = result.forecasts.filter(pl.col("model").is_in(["boosting", "keras"]))
    means = both.group_by("series", "time").agg(pl.col("p50").mean()).sort("series", "time")
    assert ensemble["p50"].to_list() == pytest.approx(means["p50"].to_list())


def test_the_size_of_what_would_be_served_is_told_and_what_cannot_be_exported_is_no_row(features):
    def size(model):
        if model.name == "keras":
            raise PublicationError("export: no SavedModel of it")
        return 2.5

    board = run(
        features,
        models=["naive_24h", "boosting", "keras"],
        make=lambda name: Yesterday(name, []),
        artifact_mb=size,
    ).leaderboard.filter(pl.col("series") == "all")
    assert dict(board.select("model", "artifact_mb").rows()) == {
        "naive_24h": None,
        "boosting": 2.5,
        "keras": None,
    }
    assert board.filter(pl.col("model") == "keras")["error"].item() == (
        "PublicationError: export: no SavedModel of it"
    )


def test_an_empty_span_and_a_span_without_a_past_are_refused(features):
    with pytest.raises(ValueError, match="no issue time from"):
        run(features, test_start=START + 90 * DAY, test_end=START + 91 * DAY)
    with pytest.raises(ValueError, match="to train on"):
        run(features, test_start=START)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"test_end": START}, "is not after test_start"), ({"folds": 0}, "one fold at least, got 0")],
)
def test_settings_without_a_span_or_without_a_fold_are_refused(changes, message):
    span = {"test_start": START, "test_end": START + DAY, **changes}
    with pytest.raises(ValueError, match=message):
        BacktestSettings(["naive_24h"], **span)


def leaderboard(**pinball: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        [{"series": "all", "model": model, "pinball": loss} for model, loss in pinball.items()],
        schema={"series": pl.String, "model": pl.String, "pinball": pl.Float64},
    )


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ({"naive_24h": 3.0, "boosting": 2.0, "keras": 1.0}, "keras"),
        ({"naive_24h": 3.0, "mean_4_weeks": 1.5, "boosting": 2.0}, None),
        ({"naive_24h": 2.0, "boosting": 2.0}, None),
        ({"naive_24h": 3.0, "boosting": None, "keras": 2.5}, "keras"),
        ({"naive_24h": 3.0}, None),
        ({"boosting": 3.0, "naive_24h": None}, "boosting"),
        ({"naive_24h": 3.0, "boosting": float("nan")}, None),
        ({"naive_24h": 3.0, "unservable": 1.0, "boosting": 2.0}, "boosting"),
        ({}, None),
    ],
)
def test_the_best_servable_model_beats_every_naive_row(losses, best):
    assert choose_servable(leaderboard(**losses)) == best


def test_only_the_rows_of_all_series_decide():
    board = pl.concat(
        [
            leaderboard(naive_24h=3.0, boosting=2.0, keras=2.5),
            leaderboard(keras=0.1).with_columns(series=pl.lit("F1")),
        ]
    )
    assert choose_servable(board) == "boosting"
