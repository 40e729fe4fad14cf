"""Feeders are split between the variants, compared on equal terms, and the canary is settled."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from smartgrid_assets.serving.assets import load_forecast, variant_comparison
from smartgrid_assets.serving.checks import canary_verdict
from smartgrid_assets.serving.settle import settle_canary
from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.alerts import Alerts
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.contracts.promotion import PromotionDecisions
from smartgrid_core.contracts.serving import (
    LabelMoves,
    PredictionLog,
    TrafficSplits,
    VariantComparisons,
)
from smartgrid_core.errors import ConfigurationError, ModelUnavailableError
from smartgrid_core.features.load import build_load_features
from smartgrid_core.model_protocols import Quantiles
from smartgrid_core.rollout.label_journal import build_label_moves
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving.label_mover import LabelMoveResult
from smartgrid_io.serving.router import Split

MODEL = "load_forecaster"
START = datetime(2026, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
ONE = ServingState(MODEL, (1,), stable=1)
TRIAL = ServingState(MODEL, (1, 2), stable=1, canary=2)
FEEDERS = ("F1", "F2", "F3", "F4", "F5")
HALF = Split(0.5, "test")


class Shelf:
    """Remembers what is served; every label is followed at once."""

    def __init__(self) -> None:
        self.now = TRIAL
        self.dies: str | None = None

    def read_state(self, model: str) -> ServingState:
        return self.now

    def update_state(
        self, model: str, move: Callable[[ServingState], ServingState]
    ) -> ServingState:
        if self.dies == "before":
            raise MemoryError("killed before the move")
        self.now = move(self.now)
        if self.dies == "after":
            raise MemoryError("killed after the move")
        return self.now

    def wait_until_labelled(self, model: str, label: str, version: int) -> None:
        assert self.now.labels[label] == version


class Server:
    """Version 1 says yesterday's load and a bit, version 2 the same with its own error."""

    def __init__(self, *, error_kw: float = 0.0) -> None:
        self.error_kw = error_kw
        self.away: set[str] = set()

    def list_live_versions(self, model: str) -> list[str]:
        return ["2", "1"]

    def predict(self, model, features, version=None, *, label=None):
        if label in self.away:
            raise ModelUnavailableError(f"{label} does not answer")
        number = version if label is None else {"stable": 1, "canary": 2}[label]
        base = features["same_hour_7d_kw"].astype(float) + 1.0
        middle = base + (self.error_kw if number == 2 else 0.0)
        frame = pl.DataFrame({"p10": middle - 1, "p50": middle, "p90": middle + 1})
        return Quantiles(frame, model, str(number))


class Registry:
    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases[alias] = version


class Book:
    def __init__(self) -> None:
        self.alerts = Alerts.create_empty()
        self.is_away = False

    def record(self, alerts: pl.DataFrame) -> int:
        if self.is_away:
            raise ConfigurationError("the database does not answer")
        new = alerts.join(self.alerts, on="dedupe_key", how="anti")
        self.alerts = pl.concat([self.alerts, new])
        return new.height


@pytest.fixture(scope="module")
def history() -> pl.DataFrame:
    """Features of five feeders, issued every midnight of February to 3 March."""
    hours = [START + timedelta(hours=n) for n in range(61 * 24)]
    noise = np.random.default_rng(3)
    load = pl.concat(
        pl.DataFrame(
            {
                "feeder_id": feeder,
                "hour_start": hours,
                "load_kw": 10
                + 5 * np.sin(np.arange(len(hours)) * np.pi / 12)
                + noise.normal(0, 0.3, len(hours)),
            }
        )
        for feeder in FEEDERS
    ).with_columns(pl.col("hour_start").cast(pl.Datetime("us", "UTC")))
    issues = [START + timedelta(days=n) for n in range(31, 62)]
    rows = build_load_features(load, issue_times=issues, timezone="Europe/Tirane", country="AL")
    return rows.filter(pl.col("feeder_id") != "grid")


@pytest.fixture
def parts(store, handles, history):
    """The graph's handles with a canary on trial since 14 February, and half of the feeders."""
    store.tables[LoadFeatures] = history
    store.tables[FeederLoad] = FeederLoad.create_empty()
    began = datetime(2026, 2, 13, 15, tzinfo=UTC)
    moves = build_label_moves(
        LabelMoves.create_empty(), before=ONE, after=TRIAL, action="published", reason="test",
        by="test", now=began,
    )  # fmt: skip
    store.upsert(LabelMoves, moves)
    split = pl.DataFrame([(MODEL, 0.5, HALF.salt, began)], orient="row")
    split.columns = TrafficSplits.column_names()
    store.upsert(TrafficSplits, split)
    return {
        **handles,
        "model_repository": Shelf(),
        "model_server": Server(),
        "model_registry": Registry(),
        "alert_store": Book(),
    }


def forecast_of(parts) -> pl.DataFrame:
    names = ("lake", "warehouse", "model_server", "model_repository", "clock")
    result = dg.materialize(
        [load_forecast],
        partition_key="2026-03-03",
        resources={name: parts[name] for name in names},
        selection=dg.AssetSelection.assets("load_forecast"),
    )
    assert result.success
    return parts["warehouse"].read(LoadForecasts)


def test_the_days_forecast_is_split_by_feeder_and_every_prediction_is_logged(parts):
    forecast = forecast_of(parts)
    dealt = {feeder: HALF.variant_of(feeder) for feeder in FEEDERS}
    assert set(dealt.values()) == {"stable", "canary"}
    said = forecast.select("feeder_id", "variant", "model_version").unique().sort("feeder_id")
    version = {"stable": "1", "canary": "2"}
    assert said.rows() == [(each, dealt[each], version[dealt[each]]) for each in FEEDERS]
    log = parts["warehouse"].read(PredictionLog).sort("subject_id")
    assert log.select("subject_id", "variant", "rows", "outcome").rows() == [
        (each, dealt[each], 24, "answered") for each in FEEDERS
    ]


def test_a_canary_that_does_not_answer_costs_no_feeder_its_forecast(parts):
    parts["model_server"].away = {"canary"}
    forecast = forecast_of(parts)
    assert forecast.height == 24 * len(FEEDERS)
    assert set(forecast["variant"]) == {"stable"}
    failed = parts["warehouse"].read(PredictionLog).filter(pl.col("outcome") == "failed")
    assert set(failed["subject_id"]) == {f for f in FEEDERS if HALF.variant_of(f) == "canary"}


def compared(parts) -> tuple[dict, dg.AssetCheckResult]:
    names = ("lake", "warehouse", "model_server", "model_repository", "clock")
    result = dg.materialize(
        [variant_comparison, canary_verdict],
        resources={name: parts[name] for name in names},
    )
    (evaluation,) = result.get_asset_check_evaluations()
    table = parts["warehouse"].read(VariantComparisons)
    return (table.row(-1, named=True) if table.height else {}), evaluation


@pytest.mark.parametrize(
    ("error_kw", "decision", "passed"), [(4.0, "roll_back", False), (-1.0, "promote", True)]
)
def test_variants_are_compared_on_the_whole_days_of_the_trial(parts, error_kw, decision, passed):
    parts["model_server"].error_kw = error_kw
    row, check = compared(parts)
    assert (row["canary_version"], row["stable_version"]) == ("2", "1")
    assert (row["first_issue"], row["last_issue"]) == (
        datetime(2026, 2, 14, tzinfo=UTC),
        datetime(2026, 3, 2, tzinfo=UTC),
    )
    assert (row["issues"], row["pairs"]) == (17, 17 * 24 * len(FEEDERS))
    assert row["decision"] == decision
    lines = parts["warehouse"].read(PromotionDecisions)
    assert lines["condition"].to_list() == [
        *("calls", "compares_to_stable", "coverage", "worst_decile"),
    ]
    assert set(lines["decision"]) == {decision}
    assert check.passed is passed
    assert check.description.startswith(decision.replace("_", " "))


def test_without_a_canary_there_is_nothing_to_compare(parts):
    parts["model_repository"].now = ONE
    row, check = compared(parts)
    assert (row, check.passed, check.description) == ({}, True, "no canary is on trial")


def settle(parts, action: str, version: int = 2) -> bool:
    names = ("warehouse", "model_registry", "model_repository", "alert_store", "clock")
    return settle_canary.execute_in_process(
        run_config={
            "ops": {"settle": {"config": {"action": action, "version": version, "reason": "why"}}}
        },
        resources={name: parts[name] for name in names},
    ).success


def test_a_canary_is_taken_back_with_a_record_and_one_alert(parts):
    assert settle(parts, "roll_back")
    assert settle(parts, "roll_back"), "done again it changes nothing"
    assert parts["model_repository"].now == ONE
    assert parts["model_registry"].aliases == {"champion": "1"}
    last = parts["warehouse"].read(LabelMoves).sort("moved_at").row(-1, named=True)
    assert (last["label"], last["version_before"], last["version_after"]) == ("canary", "2", None)
    assert (last["action"], last["moved_by"], last["reason"]) == (
        *("rolled_back", "settle_canary", "why"),
    )
    assert parts["alert_store"].alerts["message"].to_list() == [
        "Version 2 of load_forecaster was rolled back: why"
    ]
    decisions = parts["warehouse"].read(PromotionDecisions)
    assert decisions.select(
        "version", "decision", "passed", "sentence", "champion_version", "decided_by"
    ).rows() == [("2", "roll_back", False, "why", "1", "settle_canary")]


def test_a_canary_is_promoted_and_nobody_is_alarmed(parts):
    assert settle(parts, "promote")
    assert parts["model_repository"].now == ServingState(MODEL, (1, 2), stable=2)
    assert parts["model_registry"].aliases == {"champion": "2"}
    assert parts["alert_store"].alerts.is_empty()


def test_a_settlement_about_a_version_that_is_canary_no_more_changes_nothing(parts):
    assert settle(parts, "promote", version=9)
    assert parts["model_repository"].now == TRIAL


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_rollback_that_is_cut_short_is_finished_with_its_one_alert(parts, moment):
    parts["model_repository"].dies = moment
    with pytest.raises(MemoryError, match=moment):
        settle(parts, "roll_back")
    parts["model_repository"].dies = None
    assert settle(parts, "roll_back")
    assert parts["model_repository"].now == ONE
    assert parts["alert_store"].alerts["dedupe_key"].to_list() == ["rollback:load_forecaster:2"]


def test_a_rollback_waits_for_its_alert(parts):
    parts["alert_store"].is_away = True
    with pytest.raises(ConfigurationError):
        settle(parts, "roll_back")
    assert parts["model_repository"].now == TRIAL


def test_letting_go_of_a_version_without_a_label_is_no_rollback(parts):
    parts["model_repository"].now = ServingState(MODEL, (1, 2, 3), stable=1, canary=2)
    assert settle(parts, "roll_back", version=3)
    assert parts["model_repository"].now == TRIAL
    assert parts["alert_store"].alerts.is_empty()
    assert not LabelMoveResult(ServingState(MODEL, (1, 2, 3), stable=1, canary=2), TRIAL).is_new
    assert LabelMoveResult(TRIAL, ONE).is_new
