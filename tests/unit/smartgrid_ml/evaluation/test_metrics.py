import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_ml.evaluation.metrics import METRICS, compute_pinball_loss, score_forecasts

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def forecasts(*rows: tuple[str, float | None, float | None, float | None, float | None]):
    columns = {"series": pl.String, **dict.fromkeys(("p10", "p50", "p90", "actual"), pl.Float64)}
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(issue_time=pl.lit(NOON))


def loss(quantile: float, forecast: float, actual: float) -> float:
    return pl.select(
        compute_pinball_loss(quantile, forecast=pl.lit(forecast), actual=pl.lit(actual))
    ).item()


def test_too_low_a_p90_costs_nine_times_too_high_a_one():
    assert loss(0.9, 10.0, 12.0) == pytest.approx(1.8)
    assert loss(0.9, 12.0, 10.0) == pytest.approx(0.2)


def test_scores_of_one_series_as_computed_by_hand():
    table = forecasts(("a", 8, 10, 12, 11), ("a", 8, 10, 12, 13), ("a", 8, 10, 12, 0))
    row = score_forecasts(table).row(0, named=True)
    # Pinball per quantile: P10 (.3 + .5 + 7.2)/3, P50 (.5 + 1.5 + 5)/3, P90 (.1 + .9 + 1.2)/3.
    assert row == {
        "series": "a",
        "mae": pytest.approx((1 + 3 + 10) / 3),
        "mape": pytest.approx(100 * (1 / 11 + 3 / 13) / 2),
        "nmae": pytest.approx(100 * 14 / 24),
        "pinball": pytest.approx((8.0 + 7.0 + 2.2) / 9),
        "rcrps": pytest.approx(2 * (17.2 / 9) / (12.96 - 0.22)),
        "coverage": pytest.approx(1 / 3),
        "peak_nmae": pytest.approx(100 * 3 / 13),
        "hours": 3,
    }


def test_all_pools_hours_and_averages_percentages_over_series():
    table = forecasts(("a", 1, 2, 3, 4), ("a", 1, 2, 3, 2), ("b", 10, 20, 30, 10))
    a, b, overall = score_forecasts(table).to_dicts()
    assert [a["series"], b["series"], overall["series"]] == ["a", "b", "all"]
    assert overall["mae"] == pytest.approx((2 + 0 + 10) / 3)
    assert overall["nmae"] == pytest.approx(100 * 12 / 16)
    assert overall["coverage"] == pytest.approx(2 / 3)
    assert overall["mape"] == pytest.approx((a["mape"] + b["mape"]) / 2)
    assert overall["hours"] == 3


def test_the_peak_of_each_issue_is_scored_by_itself():
    first = forecasts(("a", 0, 9, 9, 10), ("a", 0, 5, 9, 5))
    second = forecasts(("a", 0, 5, 9, 5), ("a", 0, 24, 30, 20)).with_columns(
        pl.col("issue_time") + timedelta(days=1)
    )
    assert score_forecasts(pl.concat([first, second]))["peak_nmae"][0] == pytest.approx(
        100 * (1 + 4) / 30
    )


def test_hours_without_actual_or_forecast_are_not_scored():
    table = forecasts(("a", 1, 2, 3, None), ("a", None, None, None, 2), ("a", 1, 2, 3, 2))
    assert score_forecasts(table)["hours"].to_list() == [1, 1]
    assert score_forecasts(table.head(2)).is_empty()
    assert score_forecasts(table.head(2)).columns == ["series", *METRICS, "hours"]


def test_a_series_that_is_always_zero_has_no_relative_score():
    row = score_forecasts(forecasts(("a", 0, 0, 0, 0), ("a", 0, 1, 1, 0))).row(0, named=True)
    assert (row["mape"], row["nmae"], row["rcrps"], row["mae"]) == (None, None, None, 0.5)


finite = st.floats(-1e6, 1e6)


@given(
    st.lists(st.tuples(st.lists(finite, min_size=3, max_size=3), finite), min_size=1, max_size=20)
)
def test_scores_keep_their_bounds(rows):
    table = forecasts(*(("a", *sorted(quantiles), actual) for quantiles, actual in rows))
    row = score_forecasts(table).row(0, named=True)
    assert row["mae"] >= 0
    assert row["pinball"] >= 0
    assert 0 <= row["coverage"] <= 1


@given(st.lists(finite, min_size=1, max_size=20))
def test_a_perfect_forecast_costs_nothing(actuals):
    row = score_forecasts(forecasts(*(("a", y, y, y, y) for y in actuals))).row(0, named=True)
    assert (row["mae"], row["pinball"], row["coverage"]) == (0, 0, 1)


@given(st.sampled_from([0.1, 0.5, 0.9]), st.lists(finite, min_size=1, max_size=30))
def test_the_empirical_quantile_has_the_least_pinball_loss(quantile, actuals):
    def total(forecast: float) -> float:
        return sum(loss(quantile, forecast, actual) for actual in actuals)

    best = sorted(actuals)[math.ceil(quantile * len(actuals)) - 1]
    assert total(best) <= min(map(total, actuals)) + 1e-6 * (1 + max(map(abs, actuals)))
