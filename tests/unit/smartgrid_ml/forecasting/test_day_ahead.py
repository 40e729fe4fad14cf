"""The day-ahead forecast, with and without a model that answers."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.errors import ModelUnavailableError
from smartgrid_core.features.load import FEATURES, load_features
from smartgrid_core.ports import Quantiles
from smartgrid_ml.forecasting.day_ahead import MODEL, day_ahead

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
TODAY = FIRST + timedelta(days=42)
NOW = TODAY + timedelta(minutes=30)


class ServerThatAnswers:
    """Says 1, 2, 3 kW for every row and remembers what it was asked."""

    asked: dict[str, np.ndarray]

    def predict(self, model, features, *, label):
        assert label == "stable"
        self.asked = dict(features)
        rows = len(next(iter(features.values())))
        frame = pl.DataFrame({"p10": [1.0] * rows, "p50": [2.0] * rows, "p90": [3.0] * rows})
        return Quantiles(frame, model, "7")


class ServerThatIsAway:
    def predict(self, model, features, *, label):
        raise ModelUnavailableError(f"no version of {model} is live")


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
    return load_features(load, issue_times=issues, timezone="Europe/Tirane", country="AL")


def test_a_live_model_answers_for_every_hour_under_its_own_version(features):
    today = features.filter(pl.col("issue_time") == TODAY)
    server = ServerThatAnswers()

    forecast = day_ahead(
        today,
        server=server,
        history=features.lazy(),
        stand_in="naive_168h",
        now=NOW,
    )

    LoadForecasts.validate(forecast)
    assert forecast["lead_hours"].to_list() == list(range(24))
    assert forecast.select(
        "p10", "p50", "p90", "model", "model_version", "variant"
    ).unique().rows() == [(1.0, 2.0, 3.0, MODEL, "7", "stable")]
    assert set(server.asked) == set(FEATURES)
    assert {column.dtype for column in server.asked.values()} == {np.dtype("float32")}


def test_without_a_live_model_the_naive_row_stands_in_and_says_so(features):
    today = features.filter(pl.col("issue_time") == TODAY)

    forecast = day_ahead(
        today,
        server=ServerThatIsAway(),
        history=features.filter(pl.col("issue_time") < TODAY).lazy(),
        stand_in="naive_168h",
        now=NOW,
    )

    assert forecast.height == 24
    assert forecast.select("model", "model_version", "variant").unique().rows() == [
        ("naive_168h", None, None)
    ]
    assert forecast["p50"].to_list() == pytest.approx(today["same_hour_7d_kw"].to_list())
