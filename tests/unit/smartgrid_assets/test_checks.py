"""Checks where people act: they pass on an empty grid, and show what is wrong with a full one."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from smartgrid_assets.alerts.checks import CHECKS as ALERT_CHECKS
from smartgrid_assets.mining.insight_checks import CHECKS as INSIGHT_CHECKS
from smartgrid_assets.mining.insights import LOOK_BACK
from smartgrid_assets.mining.inspection_checks import losses_are_possible
from smartgrid_assets.mining.segment_checks import most_meters_are_profiled, outliers_are_few
from smartgrid_assets.models.checks import (
    ASKED_ROWS,
    ask_golden_batch,
    backtest_is_fair,
    challenger_is_sound,
    drift_has_a_reference,
    labels_answer,
)
from smartgrid_assets.quality import to_outcome_result
from smartgrid_assets.serving.checks import forecast_is_whole
from smartgrid_core.alerts.record_names import JUDGED_FROM, JUDGED_TO
from smartgrid_core.checks.outcome import CheckOutcome
from smartgrid_core.contracts.alerts import LimitExceedances
from smartgrid_core.contracts.anomalies import AnomalyScores
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.insights import Insights
from smartgrid_core.contracts.inspections import EnergyBalance, Inspections
from smartgrid_core.contracts.promotion import ModelDrift
from smartgrid_core.errors import ModelUnavailableError
from smartgrid_core.model_protocols import ModelVersion, Quantiles
from smartgrid_core.rollout.labels import ServingState
from smartgrid_core.time import Window

MODEL = "load_forecaster"
CHECKS = [
    *ALERT_CHECKS,
    *INSIGHT_CHECKS,
    losses_are_possible,
    most_meters_are_profiled,
    outliers_are_few,
    backtest_is_fair,
    challenger_is_sound,
    labels_answer,
    drift_has_a_reference,
    forecast_is_whole,
]
DAY = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


class Registry:
    """Knows one version as challenger and champion, or none."""

    def __init__(self, version: str | None = None) -> None:
        self.version = version

    def find_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        return None if self.version is None else ModelVersion(name, self.version, "run")

    def read_params(self, version: ModelVersion) -> dict[str, str]:
        return {
            "forecaster": "boosting",
            "data_start": "2026-02-20T00:00:00+00:00",
            "data_end": "2026-03-01T00:00:00+00:00",
        }

    def download(self, version: ModelVersion, folder: Path) -> Path:
        return folder


class Repository:
    """Serves version 3 as stable, or nothing."""

    def __init__(self, stable: int | None = None) -> None:
        versions = () if stable is None else (stable,)
        self.state = ServingState(MODEL, versions, stable=stable)

    def read_state(self, model: str) -> ServingState:
        return self.state


class SilentServer:
    def predict(self, *_: object, **__: object) -> None:
        raise ModelUnavailableError("nobody answers")


@pytest.fixture
def everything(handles) -> dict[str, object]:
    return handles | {
        "model_registry": Registry(),
        "model_repository": Repository(),
        "model_server": SilentServer(),
    }


def evaluate(check: dg.AssetChecksDefinition, resources: dict[str, object]):
    """Run a check after an empty asset of the right name."""
    (key,) = check.check_keys

    @dg.asset(name=key.asset_key.to_user_string())
    def judged() -> None: ...

    keys = check.required_resource_keys & set(resources)
    result = dg.materialize(
        [judged, check],
        resources={name: resources[name] for name in keys},
        raise_on_error=False,
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: next(iter(check.check_keys)).name)
def test_an_empty_grid_has_nothing_wrong(check, everything):
    assert evaluate(check, everything).passed


def test_wrong_rows_are_an_error_and_warnings_a_warning():
    wrong = to_outcome_result(CheckOutcome("all", wrong_rows=("a",), warnings=("b",)))
    assert (wrong.passed, wrong.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert wrong.description == "a; b"
    odd = to_outcome_result(CheckOutcome("all", warnings=("b",), figures={"rows": 3}))
    assert (odd.passed, odd.severity) == (False, dg.AssetCheckSeverity.WARN)
    right = to_outcome_result(CheckOutcome("all is there"))
    assert (right.passed, right.description) == (True, "all is there")


def test_only_what_would_mislead_people_blocks():
    blocking = {
        key.name
        for check in CHECKS
        for spec in check.check_specs
        if spec.blocking
        for key in [spec.key]
    }
    assert blocking == {"forecast_is_whole", "exceedances_have_ground"}


def exceedance(**columns: object) -> pl.DataFrame:
    """An hour of F1 that may cross its rating."""
    row = {
        "feeder_id": "F1",
        "issue_time": MIDNIGHT,
        "hour_start": MIDNIGHT + timedelta(hours=18),
        "rating_kw": 100.0,
        "p50_kw": 120.0,
        "p90_kw": 130.0,
        "probability": 0.9,
        "model": MODEL,
    }
    return pl.DataFrame([row | columns], schema=LimitExceedances.create_empty().schema)


def test_an_exceedance_of_an_unknown_feeder_is_an_error(store, everything):
    store.replace(LimitExceedances, exceedance())
    ground, alerts = (evaluate(check, everything) for check in ALERT_CHECKS)
    assert (ground.passed, ground.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "of a feeder without a rating: F1" in ground.description
    assert alerts.description == "1 spells have no alert: limit:F1:2026-03-02"


def test_the_check_on_exceedances_names_the_days_for_the_sensor(store, everything):
    store.replace(LoadFeatures, hours_of(F1=2.0))
    metadata = evaluate(ALERT_CHECKS[0], everything).metadata
    assert [metadata[name].value for name in (JUDGED_FROM, JUDGED_TO)] == ["2026-03-02"] * 2


class Server(SilentServer):
    """Answers three times the level of each row: not a number for one without a level."""

    def __init__(self) -> None:
        self.asked: list[list[float]] = []

    def predict(self, model, features, *, label):
        level = features["level_kw"]
        self.asked.append(level.tolist())
        return Quantiles(
            pl.DataFrame({"p10": level, "p50": 2 * level, "p90": 3 * level}), model, "3"
        )


def hours_of(**levels_kw: float | None) -> pl.DataFrame:
    """A day of features of each feeder, all of one level; None for a feeder without history."""
    columns = {name: [None] for name in LoadFeatures.column_names()}
    columns |= {
        name: [0.0] for name, column in LoadFeatures.columns().items() if not column.nullable
    }
    rows = [
        pl.DataFrame(columns).with_columns(
            feeder_id=pl.lit(feeder),
            issue_time=pl.lit(MIDNIGHT),
            hour_start=pl.lit(MIDNIGHT + timedelta(hours=hour)),
            level_kw=pl.lit(level_kw, pl.Float64),
        )
        for feeder, level_kw in levels_kw.items()
        for hour in range(24)
    ]
    return LoadFeatures.cast(pl.concat(rows))


def ask_labels(everything, server) -> dg.AssetCheckEvaluation:
    parts = {
        "model_registry": Registry("3"),
        "model_repository": Repository(3),
        "model_server": server,
    }
    return evaluate(labels_answer, everything | parts)


def test_feeders_without_a_history_are_not_asked_about(store, everything):
    store.replace(LoadFeatures, hours_of(F1=2.0, NEW=None, F2=8.0))
    server = Server()
    evaluation = ask_labels(everything, server)
    assert (evaluation.passed, evaluation.description) == (True, "version 3 is stable")
    ((*levels,),) = server.asked
    assert set(levels) == {2.0, 8.0}
    assert len(levels) <= ASKED_ROWS


def test_a_large_grid_is_asked_about_in_one_short_call(store, everything):
    store.replace(LoadFeatures, hours_of(**{f"F{n}": 1.0 + n for n in range(60)}))
    server = Server()
    assert ask_labels(everything, server).passed
    assert len(server.asked[0]) == ASKED_ROWS
    assert len(set(server.asked[0])) > ASKED_ROWS / 3


def test_a_grid_of_new_feeders_has_no_features_yet(store, everything):
    store.replace(LoadFeatures, hours_of(NEW=None))
    server = Server()
    evaluation = ask_labels(everything, server)
    assert evaluation.passed
    assert evaluation.description == "version 3 is stable; no features yet: nothing to ask with"
    assert server.asked == []


def test_a_server_that_is_silent_is_a_warning(store, everything):
    store.replace(LoadFeatures, hours_of(F1=2.0))
    evaluation = ask_labels(everything, SilentServer())
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert evaluation.description == "nobody answers as stable, version 3 should"


def test_a_registered_model_without_golden_answers_is_an_error(everything, tmp_path):
    evaluation = evaluate(challenger_is_sound, everything | {"model_registry": Registry("3")})
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    assert "does not answer the golden batch" in evaluation.description
    assert ask_golden_batch(tmp_path).difference is None


def test_drift_against_nine_days_is_a_warning(store, everything):
    row = {
        "day": DAY,
        "model_version": "3",
        "kind": "feature",
        "name": "same_hour_1d_kw",
        "figure": 0.1,
        "bound": 0.25,
        "is_drifted": False,
    }
    store.upsert(ModelDrift, pl.DataFrame([row], schema=ModelDrift.create_empty().schema))
    evaluation = evaluate(drift_has_a_reference, everything | {"model_registry": Registry("3")})
    assert evaluation.description.startswith("the champion learned from 9 days")


@pytest.fixture
def page(store):
    """An insight of today on an inspection, and one on an anomaly that began three days ago."""
    links = {
        "inspections": {"subject_id": "M1"},
        "anomalies": {"subject_id": "M2", "start_time": "2026-02-27T04:00:00+00:00"},
    }
    rows = [
        {
            "day": DAY,
            "section": table,
            "position": 1,
            "subject_id": key["subject_id"],
            "title": f"Meter {key['subject_id']}:",
            "sentence": "it stands still",
            "figure": None,
            "unit": None,
            "evidence_table": table,
            "evidence_partition": None,
            "evidence_key": json.dumps(key),
        }
        for table, key in links.items()
    ]
    store.replace(Insights, pl.DataFrame(rows, schema=Insights.create_empty().schema))
    # The day was judged; what was found on it does not matter here.
    blank = dict.fromkeys(AnomalyScores.column_names())
    store.tables[AnomalyScores] = pl.DataFrame(
        [blank | {"time": MIDNIGHT}], schema=AnomalyScores.create_empty().schema
    )
    return rows


def test_an_insight_is_traced_to_the_rows_it_rests_on(page, store, everything):
    (check,) = INSIGHT_CHECKS
    assert store.read(Inspections).is_empty()
    assert evaluate(check, everything).description.startswith(
        "2 insights link to evidence that is not there"
    )


def test_only_the_days_that_insights_name_are_searched_for_their_evidence(page, store, everything):
    asked: list[tuple[str, Window | None]] = []

    class Reader:
        def read(self, schema, *, window=None):
            asked.append((schema.__name__, window))
            return store.read(schema, window=window)

    (check,) = INSIGHT_CHECKS
    evaluate(check, everything | {"warehouse": Reader()})
    assert dict(asked) == {
        "Insights": Window.of_days(DAY - LOOK_BACK, DAY),
        "Inspections": None,
        "Anomalies": Window.of_day(date(2026, 2, 27)),
    }


def test_a_node_that_loses_most_of_its_energy_is_a_warning(store, everything):
    row = {
        "node_id": "F1",
        "day": DAY,
        "node_kind": "feeder",
        "hours": 24,
        "head_kwh": 100.0,
        "metered_kwh": 20.0,
        "loss_kwh": 80.0,
        "unexplained_kwh": 0.0,
        "band_kwh": 1.0,
        "is_beyond": False,
    }
    store.replace(EnergyBalance, pl.DataFrame([row], schema=EnergyBalance.create_empty().schema))
    assert evaluate(losses_are_possible, everything).description == (
        "losses exceed 40% of the energy: F1 80%"
    )
