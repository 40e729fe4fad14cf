"""Judgements on models: a fair backtest, a sound version, the right one answering, real drift."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from smartgrid_core.checks.models import (
    judge_load_backtest,
    judge_load_model,
    judge_model_drift,
    judge_served_model,
)
from smartgrid_core.model_protocols import Quantiles
from smartgrid_core.rollout.labels import ServingState

NAIVE = ("naive_24h", "naive_168h")
MODELS = ("boosting", *NAIVE)
TESTED_FROM = datetime(2026, 3, 1, tzinfo=UTC)
PARAMS = {
    "forecaster": "boosting",
    "data_start": "2026-01-01T00:00:00+00:00",
    "data_end": "2026-03-15T00:00:00+00:00",
}


def board(*, coverage: float | None = 0.8, failed: str | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "series": series,
                "model": model,
                "pinball": None if model == failed else 1.0 + place,
                "coverage": coverage,
                "error": "no data" if model == failed else None,
            }
            for series in ("all", "F1")
            for place, model in enumerate(MODELS)
        ],
        schema_overrides={"error": pl.String, "coverage": pl.Float64},
    )


def losses(
    *, left_out: str | None = None, issue_times: int = 3, shorter: str | None = None
) -> pl.DataFrame:
    """Losses of all models; one may lack the third issue time, one may lack an hour of it."""
    return pl.DataFrame(
        [
            {
                "model": model,
                "series": "F1",
                "issue_time": TESTED_FROM + timedelta(days=day),
                "hours": 23 if model == shorter and day == 2 else 24,
            }
            for model in MODELS
            for day in range(issue_times)
            if not (model == left_out and day == 2)
        ]
    )


def test_a_backtest_of_all_on_the_same_hours_is_right():
    outcome = judge_load_backtest(board(), losses=losses(), naive_rows=NAIVE)
    assert outcome.passed
    assert outcome.figures == {"forecasters": 3, "without_scores": "none", "uneven": 0}


def test_a_forecaster_that_missed_hours_is_a_warning():
    outcome = judge_load_backtest(board(), losses=losses(left_out="boosting"), naive_rows=NAIVE)
    assert outcome.warnings == (
        "1 of 3 series and issue times (33%) are not scored alike by all forecasters, at most 2%"
        " may be",
    )


def test_an_issue_time_scored_on_fewer_hours_counts_once():
    outcome = judge_load_backtest(board(), losses=losses(shorter="boosting"), naive_rows=NAIVE)
    assert outcome.figures["uneven"] == 1
    assert outcome.summary == "3 of 3 forecasters were scored on 3 series and issue times"


@pytest.mark.parametrize(("issue_times", "passed"), [(50, True), (49, False)])
def test_a_fiftieth_of_the_issue_times_may_be_scored_unlike(issue_times, passed):
    rows = losses(left_out="naive_24h", issue_times=issue_times)
    outcome = judge_load_backtest(board(), losses=rows, naive_rows=NAIVE)
    assert (outcome.passed, outcome.figures["uneven"]) == (passed, 1)


def test_a_naive_row_without_a_score_is_a_warning():
    outcome = judge_load_backtest(board(failed="naive_24h"), losses=losses(), naive_rows=NAIVE)
    assert outcome.warnings == ("naive rows without a score: naive_24h",)
    assert outcome.figures["without_scores"] == "naive_24h"


def test_a_failed_forecaster_leaves_the_others_comparable():
    outcome = judge_load_backtest(
        board(failed="boosting"), losses=losses(left_out="boosting"), naive_rows=NAIVE
    )
    assert outcome.passed


@pytest.mark.parametrize("coverage", [0.2, 1.0, None])
def test_a_band_that_holds_hardly_any_or_all_hours_is_a_warning(coverage):
    outcome = judge_load_backtest(board(coverage=coverage), losses=losses(), naive_rows=NAIVE)
    assert outcome.warnings == (
        f"the band of boosting holds {coverage or 0:.0%} of the hours, 80 % meant",
    )


def judge_version(params=PARAMS, *, inputs=("mean_24h_kw",), difference=1e-7, tested=TESTED_FROM):
    return judge_load_model(
        params,
        inputs=inputs,
        features=("mean_24h_kw", "hour_sin"),
        golden_difference=difference,
        most_difference=1e-4,
        tested_from=tested,
    )


def test_a_version_that_answers_as_offline_is_right():
    outcome = judge_version()
    assert outcome.passed
    assert outcome.summary == "boosting trained on 2026-01-01 .. 2026-03-15"


@pytest.mark.parametrize("difference", [None, 0.01, float("inf"), float("nan")])
def test_a_version_that_answers_otherwise_is_wrong(difference):
    assert len(judge_version(difference=difference).wrong_rows) == 1


def test_why_a_version_does_not_answer_is_said():
    outcome = judge_load_model(
        PARAMS,
        inputs=(),
        features=(),
        golden_difference=None,
        golden_error="SavedModel: it cannot be loaded",
        most_difference=1e-4,
        tested_from=TESTED_FROM,
    )
    assert outcome.wrong_rows == (
        "its signature does not answer the golden batch: SavedModel: it cannot be loaded",
    )


def test_a_signature_with_an_unknown_input_is_wrong():
    assert judge_version(inputs=("sunshine",)).wrong_rows == (
        "its signature asks for what no feature is: sunshine",
    )


def test_a_version_without_its_past_is_a_warning():
    assert judge_version({}).warnings == (
        "the registry does not say its forecaster, data_start, data_end",
    )
    assert judge_version(tested=None).warnings == ("the backtest that chose it is not on record",)


def test_a_backtest_without_days_to_learn_from_is_a_warning():
    outcome = judge_version(PARAMS | {"data_start": "2026-02-26T00:00:00+00:00"})
    assert outcome.warnings == ("its backtest began 3 days after its first reading",)


def test_a_version_that_never_learned_the_tested_days_is_a_warning():
    outcome = judge_version(PARAMS | {"data_end": "2026-03-01T00:00:00+00:00"})
    assert outcome.warnings == ("it was not trained on the days that the backtest had held back",)


def answer(version: int, *, p10: float = 1.0) -> Quantiles:
    frame = pl.DataFrame({"p10": [p10], "p50": [2.0], "p90": [3.0]})
    return Quantiles(frame, "load_forecaster", str(version))


SERVED = ServingState("load_forecaster", versions=(3, 4), stable=3, canary=4)


def test_every_label_answered_by_its_version_is_right():
    outcome = judge_served_model(
        SERVED, champion="3", answers={"stable": answer(3), "canary": answer(4)}
    )
    assert outcome.passed
    assert outcome.summary == "version 3 is stable; version 4 is canary"


def test_before_the_first_version_there_is_nothing_to_judge():
    outcome = judge_served_model(ServingState("load_forecaster"), champion=None, answers={})
    assert (outcome.passed, outcome.summary) == (True, "no version is served yet")


def test_before_the_first_features_nobody_is_asked():
    outcome = judge_served_model(SERVED, champion="2", answers=None)
    assert outcome.warnings == ("version 3 is stable, the registry's champion is 2",)
    assert outcome.summary == (
        "version 3 is stable; version 4 is canary; no features yet: nothing to ask with"
    )


def test_a_label_that_nobody_or_another_version_answers_is_a_warning():
    outcome = judge_served_model(
        SERVED, champion="3", answers={"stable": answer(2), "canary": None}
    )
    assert outcome.warnings == (
        "version 2 answers as stable, not 3",
        "nobody answers as canary, version 4 should",
    )


def test_a_champion_that_is_not_stable_is_a_warning():
    stable = ServingState("load_forecaster", versions=(3,), stable=3)
    outcome = judge_served_model(stable, champion=None, answers={"stable": answer(3)})
    assert outcome.warnings == ("version 3 is stable, the registry's champion is none",)


@pytest.mark.parametrize("p10", [2.5, float("nan")])
def test_an_impossible_band_is_wrong(p10):
    stable = ServingState("load_forecaster", versions=(3,), stable=3)
    outcome = judge_served_model(stable, champion="3", answers={"stable": answer(3, p10=p10)})
    assert outcome.wrong_rows == ("stable answers with a band that is not P10 <= P50 <= P90",)


def signs_of(version: str, *figures: float | None, day: date) -> pl.DataFrame:
    rows = [
        {"day": day, "model_version": version, "figure": figure, "bound": 0.25}
        for figure in figures
    ]
    return pl.DataFrame(
        rows,
        schema={
            "day": pl.Date,
            "model_version": pl.String,
            "figure": pl.Float64,
            "bound": pl.Float64,
        },
    )


def judge_drift(
    *figures: float | None,
    start: datetime = TESTED_FROM - timedelta(days=60),
    day: date = date(2026, 3, 9),
):
    return judge_model_drift(
        signs_of("3", *figures, day=day),
        version="3",
        params={"data_start": start.isoformat(), "data_end": TESTED_FROM.isoformat()},
    )


def test_drift_against_enough_and_recent_days_is_right():
    outcome = judge_drift(0.1, None)
    assert outcome.passed
    assert outcome.figures == {"signs": 2, "unknown": 1, "reference_days": 60}
    assert outcome.summary == "1 of 2 signs of 2026-03-09 were measured against 60 days"


def test_drift_against_a_short_past_is_a_warning():
    outcome = judge_drift(0.1, start=TESTED_FROM - timedelta(days=10))
    assert outcome.warnings == (
        "the champion learned from 10 days, 28 are needed to tell drift from chance",
    )


def test_drift_against_a_past_long_gone_is_a_warning():
    outcome = judge_drift(0.1, day=date(2026, 12, 1))
    assert outcome.warnings == ("the champion's training data end 275 days before 2026-12-01",)


def test_drift_that_could_not_be_measured_is_a_warning():
    assert judge_drift(None).warnings == ("no sign could be measured",)


def test_the_newest_look_at_a_former_champion_says_nothing_of_the_present_one():
    rows = pl.concat(
        [
            signs_of("3", 0.1, day=date(2026, 3, 8)),
            signs_of("2", None, None, day=date(2026, 3, 9)),
        ]
    )
    outcome = judge_model_drift(rows, version="3", params=PARAMS)
    assert (outcome.passed, outcome.figures["signs"]) == (True, 1)
    assert "signs of 2026-03-08" in outcome.summary


def test_a_champion_that_nobody_has_looked_at_yet_is_no_fault():
    outcome = judge_model_drift(
        signs_of("2", 0.1, day=date(2026, 3, 9)), version="3", params=PARAMS
    )
    assert (outcome.passed, outcome.summary) == (True, "nobody looked for drift of version 3 yet")


def test_a_champion_whose_training_days_nobody_knows_is_a_warning_with_its_mend():
    outcome = judge_model_drift(
        signs_of("3", 0.1, day=date(2026, 3, 9)), version="3", params={"forecaster": "boosting"}
    )
    assert outcome.warnings == (
        "the registry does not say data_start and data_end of version 3: log them at its MLflow"
        " run, or train anew",
    )
