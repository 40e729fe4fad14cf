from typing import Any

import dagster as dg
import pytest

from smartgrid_assets.models.trials import TrainingReporter
from smartgrid_core.errors import ConfigurationError
from smartgrid_ml.automl.trials import Trial
from smartgrid_ml.progress import FitProgress, SearchProgress, to_facts

TRIALS = (
    Trial(1, {"depth": 3}, (2.0, 4.0), 1.23, 456.7, {"depth": 3}),
    Trial(2, {"depth": 99}, seconds=0.5, memory_mb=460.0, error="too deep"),
    Trial(3, {"depth": 5}, (float("nan"), 1.0), 1.0, 470.0, {"depth": 5}),
)


class Registry:
    """Keeps trials, or is away from one of them on."""

    def __init__(self, *, away_from: int = 99) -> None:
        self.away_from = away_from
        self.asked = 0
        self.kept: list[tuple[str, dict[str, Any]]] = []

    def log_trial(self, parent_run_id: str, **trial: Any) -> str:
        self.asked += 1
        if self.asked >= self.away_from:
            raise ConfigurationError("MLflow does not answer")
        self.kept.append((parent_run_id, trial))
        return f"run-{self.asked}"


def told(registry: Registry) -> tuple[list[dict[str, Any]], list[str]]:
    """The observations and the log that a search of TRIALS leaves with an asset."""
    lines: list[str] = []

    @dg.asset
    def load_backtest(context: dg.AssetExecutionContext) -> None:
        reporter = TrainingReporter(context, registry=registry, parent_run_id="parent")
        reporter.report_progress(FitProgress("tpot", 8, 10, 1, 3))
        reporter.report_progress(SearchProgress("tpot", 0, None, 60.0))
        for n_trials, trial in enumerate(TRIALS, start=1):
            reporter.report_progress(SearchProgress("tpot", n_trials, 3.0, 60.0 - n_trials))
            reporter.report_trial("tpot", trial)
        reporter.report_progress(SearchProgress("tpot", 3, 3.0, 0.0, ended="budget used"))

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([load_backtest], instance=instance)
        key = dg.AssetKey("load_backtest")
        observed = instance.fetch_observations(key, limit=20).records
        lines = [
            record.event_log_entry.user_message
            for record in instance.get_records_for_run(result.run_id).records
            if record.event_log_entry.dagster_event is None
        ]
    observations = [record.asset_observation for record in reversed(observed)]
    return [
        {name: value.value for name, value in one.metadata.items()} for one in observations
    ], lines


def test_every_trial_is_an_event_of_the_asset_a_nested_run_and_a_line_of_the_log():
    registry = Registry()
    observations, lines = told(registry)

    assert observations[0] == to_facts(FitProgress("tpot", 8, 10, 1, 3))
    assert observations[1] == {"engine": "tpot", "trials": 0, "left_s": 60.0}
    assert observations[2:4] == [
        {
            "engine": "tpot",
            "trials": 1,
            "best": 3.0,
            "left_s": 59.0,
            "number": 1,
            "score": 3.0,
            "seconds": 1.2,
            "memory_mb": 457,
            "mlflow_run": "run-1",
        },
        {
            "engine": "tpot",
            "trials": 2,
            "best": 3.0,
            "left_s": 58.0,
            "number": 2,
            "seconds": 0.5,
            "memory_mb": 460,
            "error": "too deep",
            "mlflow_run": "run-2",
        },
    ]
    assert observations[4]["number"] == 3
    assert observations[5:] == [to_facts(SearchProgress("tpot", 3, 3.0, 0.0, ended="budget used"))]
    assert registry.kept[0] == (
        "parent",
        {
            "name": "tpot 1",
            "params": {"engine": "tpot", "depth": 3},
            "fold_scores": (2.0, 4.0),
            "seconds": 1.23,
            "memory_mb": 456.7,
            "error": None,
        },
    )
    assert registry.kept[1][1]["error"] == "too deep"
    assert lines == [
        "tpot trial 1: MAE 3 (2, 4) in 1.2 s; depth=3",
        "tpot trial 2: failed: too deep in 0.5 s; depth=99",
        "tpot trial 3: MAE nan (nan, 1) in 1.0 s; depth=5",
    ]


@pytest.mark.parametrize("away_from", [1, 2])
def test_a_registry_that_is_away_is_told_of_once_and_ends_no_search(away_from: int):
    registry = Registry(away_from=away_from)
    observations, lines = told(registry)

    trials = observations[2:5]
    assert [one["number"] for one in trials] == [1, 2, 3]
    assert [one.get("mlflow_run") for one in trials] == [
        f"run-{number}" if number < away_from else None for number in (1, 2, 3)
    ]
    warnings = [line for line in lines if "not written to MLflow" in line]
    assert warnings == [
        f"trial {away_from} of tpot and those of the next 30 s are not written to MLflow:"
        " MLflow does not answer"
    ]
    assert registry.asked == away_from
