"""The gate between training and serving: what it lets through, and what stays when it does not."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from smartgrid_assets.models.assets import served_model
from smartgrid_assets.models.checks import promotion_gate
from smartgrid_assets.models.gate import promotion_decision
from smartgrid_assets.models.losses import keep_losses
from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.contracts.promotion import BacktestLosses, PromotionDecisions
from smartgrid_core.features.load import build_load_features
from smartgrid_core.model_protocols import ModelVersion, Quantiles
from smartgrid_core.rollout.labels import ServingState
from smartgrid_ml.export.artifact.golden import write_golden
from smartgrid_ml.export.artifact.parity import ask_saved_model
from smartgrid_ml.forecasting.registry import NAIVE_ROWS
from smartgrid_ml.promotion.artifact import compute_golden_difference
from smartgrid_ml.tensorflow_runtime import tensorflow
from tests.unit.smartgrid_assets.model_repository import Shelf

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

MODEL = "load_forecaster"
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
INPUTS = ("level_kw", "same_hour_7d_kw")
TESTED = datetime(2026, 2, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def features() -> pl.DataFrame:
    """Features of four feeders about 10 kW, issued every midnight of February to 3 March."""
    hours = [START + timedelta(hours=n) for n in range(61 * 24)]
    noise = np.random.default_rng(3)
    wave = 10 + 5 * np.sin(np.arange(len(hours)) * np.pi / 12)
    load = pl.concat(
        pl.DataFrame(
            {
                "feeder_id": feeder,
                "hour_start": hours,
                "load_kw": wave + noise.normal(0, 0.5, len(hours)),
            }
        )
        for feeder in ("F1", "F2", "F3", "F4")
    ).with_columns(pl.col("hour_start").cast(pl.Datetime("us", "UTC")))
    issues = [START + timedelta(days=n) for n in range(31, 62)]
    return build_load_features(load, issue_times=issues, timezone="Europe/Tirane", country="AL")


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory, features) -> Path:
    """A SavedModel that says the load of a week ago, give or take 1 kW."""
    tf = tensorflow()

    def serve(level_kw, same_hour_7d_kw):
        return {
            "p10": same_hour_7d_kw - 1.0,
            "p50": same_hour_7d_kw + 0.0 * level_kw,
            "p90": same_hour_7d_kw + 1.0,
        }

    signature = tf.function(serve).get_concrete_function(
        *(tf.TensorSpec([None], tf.float32, name=name) for name in INPUTS)
    )
    folder = tmp_path_factory.mktemp("made") / "model"
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": signature})
    rows = features.tail(30).select(pl.col(INPUTS).cast(pl.Float32))
    write_golden(folder, rows=rows, quantiles=ask_saved_model(folder, rows))
    return folder


class Registry:
    """Versions with their SavedModel; remembers aliases."""

    def __init__(self, saved_model: Path) -> None:
        self.saved_model = saved_model
        self.aliases = {"challenger": "1"}
        self.data_end: datetime | None = TESTED
        self.backtest_id = "b1"

    def find_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        version = self.aliases.get(alias)
        return None if version is None else ModelVersion(name, version, f"run-{version}")

    def read_params(self, version: ModelVersion) -> dict[str, str]:
        end = {} if self.data_end is None else {"data_end": self.data_end.isoformat()}
        return {"forecaster": "boosting", "backtest_id": self.backtest_id, **end}

    def download(self, version: ModelVersion, folder: Path) -> Path:
        return Path(shutil.copytree(self.saved_model, folder / "saved_model"))

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases[alias] = version


class Server:
    def predict(self, model, features, version):
        week_ago = features["same_hour_7d_kw"]
        frame = pl.DataFrame({"p10": week_ago - 1, "p50": week_ago, "p90": week_ago + 1})
        return Quantiles(frame, model, str(version))


def forecasts(features: pl.DataFrame, *, model: str, error_kw: float, seed: int) -> pl.DataFrame:
    """Forecasts of the tested days that miss by so much, in a band that holds four fifths."""
    noise = np.random.default_rng(seed)
    tested = features.filter(pl.col("issue_time") >= TESTED, pl.col("load_kw").is_not_null())
    middle = tested["load_kw"] + noise.normal(0, error_kw, tested.height)
    return tested.select("issue_time", series="feeder_id", actual="load_kw").with_columns(
        model=pl.lit(model),
        p10=middle - 1.2816 * error_kw,
        p50=middle,
        p90=middle + 1.2816 * error_kw,
    )


def backtested(store, features, *, error_kw: float, backtest_id: str = "b1") -> None:
    rows = pl.concat(
        [
            forecasts(features, model="boosting", error_kw=error_kw, seed=1),
            *(
                forecasts(features, model=name, error_kw=1.0, seed=seed)
                for seed, name in enumerate(NAIVE_ROWS, start=2)
            ),
        ]
    )
    board = pl.DataFrame({"backtest_id": [backtest_id], "scored_at": [NOW]})
    keep_losses(store, rows, board)


@pytest.fixture
def parts(store, handles, features, saved_model):
    store.tables[LoadFeatures] = features
    backtested(store, features, error_kw=0.3)
    return {
        "lake": store,
        "warehouse": store,
        "clock": handles["clock"],
        "model_registry": Registry(saved_model),
        "model_repository": Shelf(),
        "model_server": Server(),
    }


def run(parts, *what):
    return dg.materialize(list(what), resources=parts, raise_on_error=False)


def trained(parts):
    """What a run of the gate and what follows it leaves: its check and the outcomes in words."""
    result = run(parts, promotion_decision, promotion_gate, served_model)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    said = {
        event.asset_key.to_user_string(): event.materialization.metadata["outcome"].value
        for event in result.get_asset_materialization_events()
    }
    return check, said


def with_champion(parts) -> None:
    """Version 1 went live as the first one; version 2 was trained since."""
    trained(parts)
    assert parts["model_repository"].now == ServingState(MODEL, (1,), stable=1)
    assert parts["model_registry"].aliases["champion"] == "1"
    parts["model_registry"].aliases["challenger"] = "2"


def test_the_first_model_that_passes_is_stable_and_its_decision_is_on_record(parts):
    check, said = trained(parts)
    assert (check.passed, check.description) == (True, "version 1 may be published")
    assert said["promotion_decision"] == "promote version 1: all 10 conditions are met"
    assert said["served_model"] == "version 1 of load_forecaster answers as stable"
    rows = parts["warehouse"].read(PromotionDecisions)
    assert rows.select("condition", "passed").sort("condition").rows() == [
        ("answer_ms", True),
        ("beats_champion", True),
        ("beats_mean_4_weeks", True),
        ("beats_naive_168h", True),
        ("beats_naive_24h", True),
        ("beats_seasonal_empirical", True),
        ("coverage", True),
        ("golden_batch", True),
        ("size_mb", True),
        ("worst_decile", True),
    ]
    assert set(rows["decision"]) == {"promote"}
    assert set(rows["decided_by"]) == {"promotion_decision"}


def test_the_decision_shows_every_condition_as_a_line_of_a_table(parts):
    result = run(parts, promotion_decision)
    (made,) = result.get_asset_materialization_events()
    lines = made.materialization.metadata["decision"].value.splitlines()
    assert lines[0] == "| condition | figure | bound | passed | in words |"
    assert len(lines) == 2 + 10
    assert lines[2].startswith("| beats_mean_4_weeks | ")


def test_a_later_version_that_beats_the_champion_is_tried_as_canary(parts):
    with_champion(parts)
    check, said = trained(parts)
    assert check.passed
    assert said["served_model"] == "version 2 of load_forecaster answers as canary"
    assert parts["model_repository"].now == ServingState(MODEL, (1, 2), stable=1, canary=2)
    rows = parts["warehouse"].read(PromotionDecisions).filter(pl.col("version") == "2")
    assert set(rows["champion_version"]) == {"1"}
    beats = rows.row(by_predicate=pl.col("condition") == "beats_champion", named=True)
    # The champion was asked for 15 February to 2 March; the load of 3 March is not known yet.
    assert "over 16 issue times" in beats["sentence"]


def test_a_version_no_better_than_the_champion_is_refused_and_the_champion_stays(
    parts, store, features
):
    with_champion(parts)
    backtested(store, features, error_kw=0.75, backtest_id="b2")
    parts["model_registry"].backtest_id = "b2"
    check, said = trained(parts)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description.startswith("version 2 is refused: not better beyond chance than")
    assert said["served_model"] == check.description
    assert parts["model_repository"].now == ServingState(MODEL, (1,), stable=1)
    assert parts["model_repository"].versions == {1}


def test_days_that_the_champion_was_trained_on_do_not_count_and_too_few_others_decide_nothing(
    parts,
):
    with_champion(parts)
    parts["model_registry"].data_end = NOW - timedelta(days=5)
    check, _ = trained(parts)
    assert not check.passed
    assert "not decided against champion: 4 issue times" in check.description


def test_a_champion_whose_training_days_nobody_knows_is_named_with_its_mend(parts):
    with_champion(parts)
    parts["model_registry"].data_end = None
    (failure,) = run(parts, promotion_decision).get_step_failure_events()
    assert (
        "the champion cannot be compared: the registry does not say data_end of version 1: log it"
        " at its MLflow run, or train anew"
    ) in failure.step_failure_data.error.cause.message


def test_a_first_model_that_does_not_beat_the_naive_row_leaves_nothing_served(
    parts, store, features
):
    backtested(store, features, error_kw=1.5, backtest_id="b2")
    parts["model_registry"].backtest_id = "b2"
    check, said = trained(parts)
    assert not check.passed
    assert said["served_model"].startswith("version 1 is refused: not better beyond chance")
    assert parts["model_repository"].now == ServingState(MODEL)


def test_a_challenger_without_a_decision_fails_the_run_and_is_not_published(parts):
    @dg.asset(name="promotion_decision")
    def forgotten() -> None:
        """A gate that decided nothing."""

    result = run(parts, forgotten, promotion_gate, served_model)
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    made = [e.asset_key.to_user_string() for e in result.get_asset_materialization_events()]
    assert made == ["promotion_decision"], "served_model did not run"
    assert parts["model_repository"].versions == set()


def test_a_version_that_bears_a_label_is_not_decided_again(parts):
    trained(parts)
    before = parts["warehouse"].read(PromotionDecisions)
    check, said = trained(parts)
    assert check.passed
    assert said["promotion_decision"] == "version 1 bears the label stable already"
    assert parts["warehouse"].read(PromotionDecisions).equals(before)


def test_without_any_model_there_is_nothing_to_decide(parts):
    parts["model_registry"].aliases.clear()
    check, said = trained(parts)
    assert (check.passed, said["promotion_decision"]) == (True, "no model is registered yet")


@pytest.mark.parametrize(("error_kw", "follows"), [(0.3, True), (1.5, False)])
def test_served_model_follows_a_decision_by_itself_unless_the_gate_refused(
    parts, store, features, error_kw, follows
):
    @dg.asset
    def load_model() -> None:
        """Trained elsewhere."""

    backtested(store, features, error_kw=error_kw, backtest_id="b2")
    parts["model_registry"].backtest_id = "b2"
    graph = dg.Definitions(
        assets=[load_model, promotion_decision, served_model],
        asset_checks=[promotion_gate],
        resources=parts,
    )
    follower = dg.AssetSelection.assets("served_model")
    with dg.DagsterInstance.ephemeral() as instance:
        looked = dg.evaluate_automation_conditions(
            graph, instance=instance, asset_selection=follower
        )
        decided = dg.materialize(
            [load_model, promotion_decision, promotion_gate], instance=instance, resources=parts
        )
        assert decided.success
        looked = dg.evaluate_automation_conditions(
            graph, instance=instance, asset_selection=follower, cursor=looked.cursor
        )
    assert (looked.total_requested == 1) is follows


def test_losses_of_older_backtests_are_forgotten(store, features):
    for n in range(5):
        rows = forecasts(features, model="boosting", error_kw=0.3, seed=n)
        board = pl.DataFrame({"backtest_id": [f"b{n}"], "scored_at": [NOW + timedelta(days=n)]})
        keep_losses(store, rows, board)
        keep_losses(store, rows, board)
    kept = store.read(BacktestLosses)
    assert kept["backtest_id"].unique().sort().to_list() == ["b2", "b3", "b4"]
    assert kept.height == 3 * 4 * 16


def test_an_answer_that_is_not_finite_differs_infinitely():
    said = pl.DataFrame(
        {"p10": [1.0], "p50": [None], "p90": [3.0]}, schema_overrides={"p50": pl.Float64}
    )
    offline = pl.DataFrame({"p10": [1.0], "p50": [2.0], "p90": [3.0]})
    assert compute_golden_difference(said, offline) == float("inf")
    assert compute_golden_difference(offline * 1.01, offline) == pytest.approx(0.01)
