from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_ml.evaluation.blend import blend_forecasts, find_blend_weights
from smartgrid_ml.evaluation.metrics import score_forecasts

START = datetime(2025, 1, 1, tzinfo=UTC)
HOURS = 48


def forecasts(actual, **errors) -> pl.DataFrame:
    """One row per hour and model, P50 off by that model's errors, a band of 1 around it."""
    actual = np.asarray(actual, float)
    hours = [START + timedelta(hours=n) for n in range(len(actual))]
    return pl.concat(
        pl.DataFrame(
            {
                "series": "F1",
                "issue_time": [START] * len(actual),
                "time": hours,
                "lead_hours": np.arange(len(actual), dtype=float),
                "model": name,
                "p10": actual + error - 1,
                "p50": actual + error,
                "p90": actual + error + 1,
                "actual": actual,
            }
        )
        for name, error in errors.items()
    )


def test_two_models_that_err_to_opposite_sides_are_better_together():
    table = forecasts(np.arange(HOURS), high=2.0, low=-2.0)
    weights = find_blend_weights(table)
    assert weights == {"high": pytest.approx(0.5), "low": pytest.approx(0.5)}
    answer = blend_forecasts(table, weights=weights, name="ensemble")
    assert answer["model"].unique().to_list() == ["ensemble"]
    assert answer["p50"].to_list() == pytest.approx(list(range(HOURS)))
    assert answer.columns == table.columns


def test_a_model_that_no_blend_improves_stays_alone():
    assert find_blend_weights(forecasts(np.arange(HOURS), good=0.0, bad=5.0)) == {"good": 1.0}


def test_a_model_that_hardly_ever_answers_is_no_member():
    table = forecasts(np.arange(HOURS), good=0.5)
    rare = forecasts(np.arange(HOURS), rare=0.0).head(3)
    assert find_blend_weights(pl.concat([table, rare])) == {"good": 1.0}


def test_an_hour_that_a_member_does_not_answer_has_no_blend():
    table = forecasts(np.arange(3), a=1.0, b=-1.0)
    is_hole = (pl.col("model") == "a") & (pl.col("lead_hours") == 1)
    holed = table.with_columns(p50=pl.when(~is_hole).then("p50"))
    answer = blend_forecasts(holed, weights={"a": 0.5, "b": 0.5}, name="e").sort("time")
    assert answer["p50"].to_list() == [0.0, None, 2.0]


def test_nothing_known_gives_no_weights():
    table = forecasts([1.0], a=0.0).with_columns(actual=pl.lit(None, pl.Float64))
    assert find_blend_weights(table) == {}


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_on_the_days_it_was_chosen_on_a_blend_is_as_good_as_its_best_member(seed, models):
    random = np.random.default_rng(seed)
    errors = {f"m{n}": random.normal(n / 2, 1 + n, HOURS) for n in range(models)}
    table = forecasts(random.normal(100, 10, HOURS), **errors)
    weights = find_blend_weights(table)
    assert sum(weights.values()) == pytest.approx(1)
    assert all(weight > 0 for weight in weights.values())
    answer = blend_forecasts(table, weights=weights, name="ensemble")
    assert answer.filter(pl.col("p10") > pl.col("p50")).is_empty()

    def loss(rows: pl.DataFrame) -> float:
        return float(score_forecasts(rows)["pinball"][0])

    best = min(loss(table.filter(pl.col("model") == name)) for name in errors)
    assert loss(answer) <= best * (1 + 1e-9)
