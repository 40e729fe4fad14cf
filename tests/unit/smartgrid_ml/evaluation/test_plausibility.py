from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_ml.evaluation.backtest import BacktestSettings, backtest_models
from smartgrid_ml.evaluation.plausibility import find_implausible
from smartgrid_ml.forecasting.boosting import BoostingForecaster, BoostingSettings
from smartgrid_ml.forecasting.registry import NAIVE_ROWS, create_forecaster

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)
HOURS = 48


def features(loads, *, start=MONDAY, feeder="F1", level=None) -> pl.DataFrame:
    """Rows issued at `start`, of loads whose level is their mean |load|."""
    loads = np.asarray(loads, float)
    return pl.DataFrame(
        {
            "feeder_id": feeder,
            "issue_time": start,
            "hour_start": [start + timedelta(hours=n) for n in range(len(loads))],
            "load_kw": loads,
            "level_kw": float(np.abs(loads).mean()) if level is None else level,
        },
        schema_overrides={"level_kw": pl.Float64},
    )


def rhythm(size: float = 100.0, hours: int = HOURS) -> np.ndarray:
    """A daily rhythm between 0.5 and 1.5 of a size."""
    return size * (1 + 0.5 * np.sin(np.arange(hours) / 24 * 2 * np.pi))


def answered(test: pl.DataFrame, p50, *, width: float = 0.1) -> pl.DataFrame:
    p50 = np.broadcast_to(np.asarray(p50, float), test.height)
    away = width * np.where(np.isfinite(p50), np.abs(p50), 0.0)
    return test.select(
        "issue_time",
        series="feeder_id",
        time="hour_start",
        p10=pl.Series(p50 - away),
        p50=pl.Series(p50),
        p90=pl.Series(p50 + away),
        actual="load_kw",
    )


def find_reason(p50, *, loads=None, learned=None, level=None, width=0.1) -> str | None:
    loads = rhythm() if loads is None else loads
    test = features(loads, level=level)
    train = features(loads if learned is None else learned, start=MONDAY - timedelta(days=7))
    return find_implausible(answered(test, p50, width=width), test=test, train=train)


def test_a_forecast_like_the_load_is_plausible_also_when_it_is_poor():
    assert find_reason(rhythm()) is None
    assert find_reason(1.6 * rhythm()[::-1]) is None


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_is_named_where_a_level_is_known(odd: float):
    p50 = rhythm()
    p50[5] = odd
    place = "series F1, issued 2025-03-03 00:00 for 2025-03-03 05:00: P10, P50, P90 are "

    reason = find_reason(p50)

    assert reason is not None
    assert reason.startswith(place)
    assert reason.endswith("where the level is 100")


def test_a_row_without_a_level_needs_no_answer():
    test = features(rhythm(), level=None).with_columns(level_kw=pl.lit(None, pl.Float64))
    answers = answered(test, rhythm()).with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ("p10", "p50", "p90")
    )
    assert find_implausible(answers, test=test, train=features(rhythm())) is None


def test_an_answer_beyond_five_times_the_largest_known_load_is_named_with_it():
    p50 = rhythm()
    p50[7] = 751.0
    assert find_reason(p50, width=0.0) == (
        "series F1, issued 2025-03-03 00:00 for 2025-03-03 07:00: P10 is 751, beyond 5 times the"
        " largest known load of 150"
    )
    p50[7] = 749.0
    assert find_reason(p50, width=0.0) is None
    assert find_reason(rhythm(), width=9.0) is not None, "a band too wide is as impossible"


def test_the_largest_load_is_also_one_that_was_known_at_the_issue_time():
    grown = rhythm(1000.0)
    test = features(grown).with_columns(max_24h_kw=pl.lit(1500.0))
    train = features(rhythm(100.0)).with_columns(max_24h_kw=pl.lit(150.0))

    assert find_implausible(answered(test, grown), test=test, train=train) is None


@pytest.mark.parametrize(
    ("sign", "word"), [(1.0, "never below 50"), (-1.0, "never above -50")], ids=["load", "feed-in"]
)
def test_a_load_keeps_its_sign(sign: float, word: str):
    loads = sign * rhythm()
    p50 = loads.copy()
    p50[3] = -sign * 16.0
    reason = find_reason(p50, loads=loads)

    assert reason is not None
    assert f"P50 is {-sign * 16.0:.4g} of a load that was {word}" in reason
    p50[3] = -sign * 14.0
    assert find_reason(p50, loads=loads) is None, "a tenth of the largest load is an honest error"
    both = np.where(np.arange(HOURS) % 2 == 0, rhythm(), -rhythm())
    assert find_reason(both, loads=both, learned=both) is None


def test_a_series_orders_of_magnitude_off_its_level_is_named_with_both_figures():
    small = find_reason(rhythm() / 11)
    assert small == (
        "series F1, issued 2025-03-03 00:00 for 2025-03-03 00:00 and all 48 hours:"
        " mean |P50| is 9.091, orders of magnitude off the level of 100"
    )
    assert find_reason(rhythm() / 9) is None
    peaks = np.where(np.arange(HOURS) == 0, 10_000.0, rhythm(10.0))
    large = find_reason(np.full(HOURS, 9_000.0) + rhythm(), loads=peaks, level=10.0)
    assert large is not None
    assert "orders of magnitude" in large


def test_a_load_that_fell_silent_does_not_make_its_forecast_implausible():
    assert find_reason(rhythm(), loads=rhythm() / 1000, learned=rhythm(), level=100.0) is None


def test_an_answer_that_never_changes_is_implausible_only_of_a_load_that_does():
    assert find_reason(100.0) == (
        "series F1, issued 2025-03-03 00:00 for 2025-03-03 00:00 and all 48 hours:"
        " P50 is 100 always, while the load moves"
    )
    still = np.full(HOURS, 100.0)
    assert find_reason(100.0, loads=still) is None
    assert find_reason(100.0, learned=still) is None, "nobody could know that it would move"
    assert find_reason(100.0, loads=rhythm(hours=23)) is None, "less than a day says nothing"


def test_a_load_that_is_rarely_there_has_a_median_of_nothing_and_a_usual_one_has_not():
    rare = np.where(np.arange(HOURS) % 12 == 0, 100.0, 0.01)
    assert find_reason(np.full(HOURS, 0.01), loads=rare) is None
    assert find_reason(np.full(HOURS, 1000.0), loads=rare) is not None
    assert "orders of magnitude off" in (find_reason(np.full(HOURS, 0.01)) or "")


def test_the_first_series_and_hour_is_named_whatever_the_order_of_rows():
    test = pl.concat([features(rhythm(), feeder="F2"), features(rhythm(), feeder="F1")])
    p50 = np.tile(rhythm(), 2)
    p50[[1, HOURS + 9, HOURS + 4]] = 1e9
    reason = find_implausible(answered(test, p50), test=test, train=test)

    assert reason is not None
    assert reason.startswith("series F1, issued 2025-03-03 00:00 for 2025-03-03 04:00")


@given(
    size=st.floats(1e-3, 1e9),
    factor=st.floats(0.2, 2.0),
    noise=st.floats(0.0, 0.3),
    seed=st.integers(0, 99),
)
def test_whatever_the_unit_a_noisy_copy_is_plausible_and_a_thousandfold_one_is_not(
    size: float, factor: float, noise: float, seed: int
):
    loads = rhythm(size)
    copy = factor * loads * (1 + noise * np.random.default_rng(seed).uniform(-1, 1, HOURS))

    assert find_reason(copy, loads=loads) is None
    assert find_reason(1000 * copy, loads=loads) is not None
    assert find_reason(copy / 1000, loads=loads) is not None


@pytest.mark.slow
def test_naive_rows_and_boosting_pass_on_a_grid(grid_features: pl.DataFrame):
    issues = grid_features["issue_time"].unique().sort()
    small = BoostingSettings(trees=30, rows_per_leaf=10, threads=1)
    result = backtest_models(
        grid_features,
        BacktestSettings(
            models=[*NAIVE_ROWS, "boosting"],
            test_start=issues[40],
            test_end=issues[49],
        ),
        make=lambda name: (
            BoostingForecaster(small) if name == "boosting" else create_forecaster(name)
        ),
    )
    assert result.leaderboard["error"].unique().to_list() == [None]


class AThousandTimes:
    """A naive row in the wrong unit."""

    name = "watts"

    def fit(self, features):
        return self

    def predict(self, features):
        point = 1000 * pl.col("same_hour_7d_kw")
        return features.select(p10=point, p50=point, p90=point)


def test_an_implausible_model_has_its_reason_instead_of_scores(grid_features: pl.DataFrame):
    issues = grid_features["issue_time"].unique().sort()
    result = backtest_models(
        grid_features,
        BacktestSettings(
            models=["watts", "naive_168h"],
            test_start=issues[40],
            test_end=issues[49],
        ),
        make=lambda name: AThousandTimes() if name == "watts" else create_forecaster(name),
    )
    row = result.leaderboard.row(
        by_predicate=(pl.col("series") == "all") & (pl.col("model") == "watts"), named=True
    )
    assert row["mae"] is None
    assert row["error"].startswith("PlausibilityError: series F1, issued ")
    assert "beyond 5 times the largest known load" in row["error"]
    assert set(result.fitted) == {"naive_168h"}
