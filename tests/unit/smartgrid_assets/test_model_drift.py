"""The daily look at drift: what the champion said and what it is fed, against its training."""

import base64
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from smartgrid_assets.models.drift import model_drift
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.contracts.promotion import BacktestLosses, ModelDrift
from smartgrid_core.features.load import build_load_features
from smartgrid_core.model_protocols import ModelVersion

START = datetime(2025, 12, 1, tzinfo=UTC)
TRAINED_FROM, TRAINED_TO = datetime(2025, 12, 30, tzinfo=UTC), datetime(2026, 2, 24, tzinfo=UTC)
TODAY = datetime(2026, 3, 3, tzinfo=UTC)
FEEDERS = ("F1", "F2")


class Registry:
    def __init__(self) -> None:
        self.champion: ModelVersion | None = ModelVersion("load_forecaster", "3", "run")
        self.params = {
            "forecaster": "boosting",
            "data_start": TRAINED_FROM.isoformat(),
            "data_end": TRAINED_TO.isoformat(),
        }

    def find_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        return self.champion if alias == "champion" else None

    def read_params(self, version: ModelVersion) -> dict[str, str]:
        return self.params


def load(*, since_training: float = 1.0) -> pl.DataFrame:
    """Feeder loads to 3 March; a rhythm whose evening grows by a factor after the training."""
    hours = [START + timedelta(hours=n) for n in range(93 * 24)]
    noise = np.random.default_rng(1)
    later = np.array([at >= TRAINED_TO for at in hours])
    evening = np.array([at.hour >= 17 for at in hours])
    parts = [
        pl.DataFrame(
            {
                "feeder_id": feeder,
                "hour_start": hours,
                "load_kw": (10 + 4 * np.sin(np.arange(len(hours)) * np.pi / 12))
                * (1 + 0.03 * noise.normal(size=len(hours)))
                * np.where(later & evening, since_training, 1.0),
            }
        )
        for feeder in FEEDERS
    ]
    return pl.concat(parts).with_columns(pl.col("hour_start").cast(pl.Datetime("us", "UTC")))


def filled(store, *, since_training: float = 1.0, error_kw: float = 0.5) -> None:
    """Features, truth, a week of the champion's forecasts, and a backtest that lost 0.2 kW."""
    rows = load(since_training=since_training)
    issues = [TRAINED_FROM + timedelta(days=n) for n in range(64)]
    features = build_load_features(rows, issue_times=issues, timezone="Europe/Tirane", country="AL")
    store.tables[LoadFeatures] = features
    store.tables[FeederLoad] = FeederLoad.validate(
        rows.with_columns(meters=pl.lit(5), expected_meters=pl.lit(5), estimated_share=pl.lit(0.0)),
        cast=True,
    )
    said = rows.filter(pl.col("hour_start").is_between(TRAINED_TO, TODAY, closed="left"))
    forecasts = said.select(
        "feeder_id",
        "hour_start",
        issue_time=pl.col("hour_start").dt.truncate("1d"),
        lead_hours=pl.col("hour_start").dt.hour(),
        p10=pl.col("load_kw") + error_kw,
        p50=pl.col("load_kw") + error_kw,
        p90=pl.col("load_kw") + error_kw,
        model=pl.lit("load_forecaster"),
        model_version=pl.lit("3"),
        variant=pl.lit("stable"),
        created_at=pl.col("hour_start").dt.truncate("1d"),
    )
    store.tables[LoadForecasts] = LoadForecasts.validate(forecasts, cast=True)
    losses = pl.DataFrame(
        [
            {
                "backtest_id": "b1",
                "series": feeder,
                "model": model,
                "issue_time": TRAINED_TO - timedelta(days=day),
                "hours": 24,
                "pinball": loss,
                "mae": 0.4,
                "coverage": 0.8,
                "scored_at": TRAINED_TO,
            }
            for feeder in FEEDERS
            for day in range(1, 15)
            for model, loss in (("boosting", 0.2), ("naive_24h", 0.9))
        ]
    )
    store.tables[BacktestLosses] = BacktestLosses.validate(losses, cast=True)


@pytest.fixture
def look(store, handles):
    registry = Registry()

    def run():
        result = dg.materialize(
            [model_drift],
            resources={
                **{name: handles[name] for name in ("lake", "warehouse", "clock")},
                "model_registry": registry,
            },
        )
        (event,) = result.get_asset_materialization_events()
        return {name: each.value for name, each in event.materialization.metadata.items()}

    run.registry = registry
    return run


def test_a_week_like_the_training_days_has_no_sign_of_drift(look, store):
    # Every quantile half a kW above: a loss of (0.9 + 0.5 + 0.1) / 3 * 0.4 = 0.2 kW.
    filled(store, error_kw=0.4)
    said = look()
    assert (said["outcome"], said["day"]) == ("nothing has drifted", "2026-03-02")
    rows = store.read(ModelDrift)
    assert set(rows["day"]) == {date(2026, 3, 2)}
    error = rows.row(by_predicate=pl.col("kind") == "error", named=True)
    assert (error["figure"], error["bound"]) == (pytest.approx(0.2), pytest.approx(0.22))
    assert rows.filter(pl.col("kind") == "feature").height == 7


def test_evenings_that_doubled_are_a_drift_of_features(look, store):
    filled(store, since_training=2.0, error_kw=0.4)
    said = look()
    assert "feature same_hour_1d_kw" in said["outcome"]
    assert "| feature | same_hour_1d_kw |" in said["signs"]
    picture = said["plot"].removeprefix("![drift](data:image/svg+xml;base64,").removesuffix(")")
    assert base64.b64decode(picture).decode().startswith("<svg")


def test_forecasts_that_got_worse_than_the_backtest_are_a_drift_of_errors(look, store):
    filled(store, error_kw=0.6)
    assert look()["outcome"] == "drifted: error pinball"


def test_what_another_version_said_does_not_count(look, store):
    filled(store, error_kw=9.0)
    store.tables[LoadForecasts] = store.tables[LoadForecasts].with_columns(
        model_version=pl.lit("2")
    )
    assert look()["outcome"] == "nothing has drifted"
    error = store.read(ModelDrift).row(by_predicate=pl.col("kind") == "error", named=True)
    assert error["figure"] is None


def test_before_any_model_answers_there_is_nothing_to_look_at(look, store):
    assert look()["outcome"] == "no day has features yet"
    look.registry.champion = None
    assert look()["outcome"] == "no model answers yet"
    assert store.read(ModelDrift).is_empty()


def test_a_champion_whose_training_days_nobody_knows_is_not_looked_at(look, store):
    filled(store)
    look.registry.params = {"forecaster": "boosting"}
    assert look()["outcome"] == (
        "the registry does not say data_start and data_end of version 3: log them at its MLflow"
        " run, or train anew"
    )
    assert store.read(ModelDrift).is_empty()
