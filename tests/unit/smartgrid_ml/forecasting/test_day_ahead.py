"""The day-ahead forecast, with and without a model that answers."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.contracts.serving import PredictionLog
from smartgrid_core.features.load import FEATURES, build_load_features
from smartgrid_core.model_protocols import RoutedForecasts
from smartgrid_core.rollout.labels import LOAD_FORECASTER
from smartgrid_ml.forecasting.day_ahead import forecast_day_ahead

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
TODAY = FIRST + timedelta(days=42)
NOW = TODAY + timedelta(minutes=30)


class Answers:
    """Says 1, 2, 3 kW for every row that is not of a feeder it leaves open; keeps what it heard."""

    def __init__(self, *, leaves_open: str | None = None) -> None:
        self.leaves_open = leaves_open

    def __call__(self, features, feeders):
        self.features, self.feeders = features, feeders
        frame = pl.DataFrame(
            {
                "p10": 1.0,
                "p50": 2.0,
                "p90": 3.0,
                "model_version": "7",
                "variant": "canary",
                "is_open": pl.Series([feeder == self.leaves_open for feeder in feeders]),
            }
        )
        answered = pl.all().exclude("is_open")
        answers = pl.when(~pl.col("is_open")).then(answered)
        return RoutedForecasts(frame.select(answers), PredictionLog.create_empty())


@pytest.fixture(scope="module")
def features() -> pl.DataFrame:
    """Features of six weeks of one feeder with a daily rhythm, each day issued at its midnight."""
    hours = [FIRST + timedelta(hours=n) for n in range(42 * 24)]
    load = pl.DataFrame(
        {
            "feeder_id": "F1",
            "hour_start": hours,
            "load_kw": [10 + 5 * np.sin(2 * np.pi * hour.hour / 24) for hour in hours],
        }
    ).with_columns(pl.col("hour_start").cast(pl.Datetime("us", "UTC")))
    issues = [FIRST + timedelta(days=n) for n in range(8, 43)]
    return build_load_features(load, issue_times=issues, timezone="Europe/Tirane", country="AL")


def test_a_model_answers_for_every_hour_under_its_version_and_variant(features):
    today = features.filter(pl.col("issue_time") == TODAY)
    ask = Answers()

    forecast, log = forecast_day_ahead(
        today, ask=ask, history=features.lazy(), stand_in="naive_168h", now=NOW
    )

    LoadForecasts.validate(forecast)
    assert forecast["lead_hours"].to_list() == list(range(24))
    assert forecast.select(
        "p10", "p50", "p90", "model", "model_version", "variant"
    ).unique().rows() == [(1.0, 2.0, 3.0, LOAD_FORECASTER, "7", "canary")]
    assert set(ask.features) == set(FEATURES)
    assert {column.dtype for column in ask.features.values()} == {np.dtype("float32")}
    assert ask.feeders == ["F1"] * 24
    assert log.is_empty()


def test_where_nobody_answers_the_naive_row_stands_in_and_says_so(features):
    today = features.filter(pl.col("issue_time") == TODAY)
    two = pl.concat([today, today.with_columns(feeder_id=pl.lit("F2"))])
    history = features.filter(pl.col("issue_time") < TODAY).lazy()

    forecast, _ = forecast_day_ahead(
        two, ask=Answers(leaves_open="F1"), history=history, stand_in="naive_168h", now=NOW
    )

    assert forecast.group_by("feeder_id", "model", "model_version", "variant").len().sort(
        "feeder_id"
    ).rows() == [("F1", "naive_168h", None, None, 24), ("F2", LOAD_FORECASTER, "7", "canary", 24)]
    assert forecast.filter(pl.col("feeder_id") == "F1")["p50"].to_list() == pytest.approx(
        today["same_hour_7d_kw"].to_list()
    )
