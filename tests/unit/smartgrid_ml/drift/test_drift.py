"""Drift: a planted shift is found, a world that only goes on is left in peace."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.contracts.promotion import ModelDrift
from smartgrid_core.features.load import build_load_features
from smartgrid_ml.drift.drift import (
    KNOWN_SHARE_ONLY,
    LOAD_VALUES,
    MOST_FEEDERS,
    DriftSign,
    compute_psi,
    list_needed_columns,
    measure_error_drift,
    measure_feature_drift,
    sample_feeders,
)
from smartgrid_ml.drift.report import build_drift_rows, draw_drift, render_drift
from smartgrid_ml.evaluation.losses import LOSS_SCHEMA

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
NAMES = [*LOAD_VALUES, *KNOWN_SHARE_ONLY]


def features(*, seed: int, days: int, feeders: int = 3, growth: float = 0.0) -> pl.DataFrame:
    """Features of feeders of 50 kW and more: daily and weekly rhythm, noise that lasts for hours.

    `growth` is how much the load rises over the whole time, as a season does.
    """
    random = np.random.default_rng(seed)
    hour = np.arange(24 * (days + 29))
    rhythm = 1 + 0.4 * np.sin(hour / 24 * 2 * np.pi) + 0.1 * np.sin(hour / 168 * 2 * np.pi)
    rhythm = rhythm * (1 + growth * hour / len(hour))
    series = []
    for feeder in range(1, feeders + 1):
        noise = random.normal(size=len(hour)) * 0.05
        for at in range(1, len(noise)):
            noise[at] += 0.8 * noise[at - 1]
        series.append(
            pl.DataFrame(
                {
                    "feeder_id": f"F{feeder}",
                    "hour_start": [FIRST + timedelta(hours=int(h)) for h in hour],
                    "load_kw": 50 * feeder * rhythm * (1 + noise),
                }
            )
        )
    issues = [FIRST + timedelta(days=day) for day in range(29, days + 29)]
    rows = build_load_features(
        pl.concat(series), issue_times=issues, timezone="Europe/Tirane", country="AL"
    )
    return rows.select(list_needed_columns())


def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The training days, and the week behind them."""
    cut = rows["issue_time"].max() - timedelta(days=6)
    return rows.filter(pl.col("issue_time") < cut), rows.filter(pl.col("issue_time") >= cut)


def drifted(signs: list[DriftSign]) -> list[str]:
    return [each.name for each in signs if each.is_drifted]


def test_the_index_of_two_histograms_is_what_one_computes_by_hand():
    # Deciles of 0..9 are ten bins of one value; the recent half lies in the last of them.
    reference = np.arange(10.0)
    recent = np.array([9.0] * 10)
    p, q = 1.5 / 15.5, np.array([0.5 / 15.5] * 9 + [10.5 / 15.5])
    assert compute_psi(reference, recent) == pytest.approx(((q - p) * np.log(q / p)).sum())


@given(
    values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60),
    other=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60),
)
def test_the_index_is_never_negative_and_zero_for_the_same_values(values, other):
    one, two = np.array(values), np.array(other)
    assert compute_psi(one, one) == 0.0
    assert compute_psi(one, two) >= 0.0
    assert compute_psi(one, np.flip(two)) == compute_psi(one, two)


def test_values_that_became_unknown_are_a_shift():
    known = np.random.default_rng(1).normal(size=500)
    lost = np.where(np.arange(500) % 2 == 0, np.nan, known)
    assert compute_psi(known, lost) > 1.0
    assert compute_psi(known, known[:250]) < 0.1


@pytest.mark.slow
def test_a_world_that_goes_on_as_before_does_not_drift():
    signs_found = [
        drifted(measure_feature_drift(*split(features(seed=seed, days=63, feeders=feeders))))
        for seed in range(8)
        for feeders in (1, 4)
    ]
    assert signs_found == [[]] * 16


def test_a_season_that_raises_the_load_by_a_third_is_no_drift():
    rows = features(seed=1, days=91, growth=0.35)
    assert drifted(measure_feature_drift(*split(rows))) == []


def test_a_planted_shift_of_the_loads_shape_is_found():
    before, after = split(features(seed=2, days=63))
    shifted = after.with_columns(pl.col("same_hour_1d_kw") * 1.6)
    signs = measure_feature_drift(before, shifted)
    assert [each.name for each in signs] == NAMES
    assert drifted(signs) == ["same_hour_1d_kw"]


def test_weather_that_no_longer_arrives_is_found_and_a_warmer_one_is_not():
    before, after = split(features(seed=3, days=63))
    warm = {name: pl.lit(5.0) for name in KNOWN_SHARE_ONLY}
    assert drifted(measure_feature_drift(before.with_columns(**warm), after)) == list(
        KNOWN_SHARE_ONLY
    )
    summer = after.with_columns(**{name: pl.lit(35.0) for name in KNOWN_SHARE_ONLY})
    assert drifted(measure_feature_drift(before.with_columns(**warm), summer)) == []


def test_the_first_days_without_history_are_no_measure_of_what_is_usual():
    before, after = split(features(seed=2, days=63))
    begun = before.with_columns(
        pl.when(pl.col("issue_time") >= FIRST + timedelta(days=29 + 7)).then("same_hour_7d_kw")
    )
    sign, whole = (
        {each.name: each for each in measure_feature_drift(rows, after)}["same_hour_7d_kw"]
        for rows in (begun, before)
    )
    assert sign.bound == whole.bound == 0.25
    assert sign.figure == pytest.approx(whole.figure, abs=0.02)


def test_a_few_training_days_are_too_few_to_say_what_is_usual():
    before, after = split(features(seed=4, days=34))
    signs = measure_feature_drift(before, after.with_columns(pl.col("same_hour_1d_kw") * 3))
    assert [each.bound for each in signs] == [None] * len(NAMES)
    assert signs[0].figure > 0.25
    assert drifted(signs) == []
    nothing = measure_feature_drift(before, after.clear())
    assert [each.figure for each in nothing] == [None] * len(NAMES)


def test_of_many_feeders_some_are_looked_at_and_the_grid_is_none():
    assert sample_feeders(pl.Series(["b", "grid", "a"])) == ["a", "b"]
    assert sample_feeders(pl.Series([], dtype=pl.String)) == []
    many = sample_feeders(pl.Series([f"F{n:05}" for n in range(1_100)]))
    assert MOST_FEEDERS // 2 < len(many) <= MOST_FEEDERS


def losses(*, seed: int, days: int, level: float = 1.0, feeders: int = 5) -> pl.DataFrame:
    """Losses about `level` kW; days differ by a tenth, feeders of one day by a quarter."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "series": f"F{feeder}",
            "issue_time": FIRST + timedelta(days=day),
            "hours": 24,
            "pinball": level * day_factor * random.gamma(16, 1 / 16),
            "mae": 2.0,
            "coverage": 0.8,
        }
        for day, day_factor in enumerate(random.gamma(100, 0.01, days))
        for feeder in range(feeders)
    ]
    return pl.DataFrame(rows, schema=dict(LOSS_SCHEMA))


def test_a_week_like_those_of_the_backtest_does_not_drift():
    alarms = [
        measure_error_drift(losses(seed=2 * n, days=7), losses(seed=2 * n + 1, days=28)).is_drifted
        for n in range(200)
    ]
    assert sum(alarms) <= 6


def test_errors_that_rise_by_a_half_are_found():
    signs_found = [
        measure_error_drift(losses(seed=2 * n, days=7, level=1.5), losses(seed=2 * n + 1, days=28))
        for n in range(50)
    ]
    assert all(each.is_drifted for each in signs_found)


def test_only_series_of_both_count_and_too_few_days_say_nothing():
    other = losses(seed=1, days=7, level=100.0).with_columns(series=pl.lit("new feeder"))
    served = pl.concat([losses(seed=2, days=7), other])
    assert not measure_error_drift(served, losses(seed=3, days=28)).is_drifted
    assert measure_error_drift(losses(seed=2, days=4), losses(seed=3, days=28)).figure is None
    assert measure_error_drift(losses(seed=2, days=7), losses(seed=3, days=13)).bound is None
    assert measure_error_drift(served.clear(), served.clear()) == DriftSign(
        "error", "pinball", None, None
    )


SIGNS = [
    DriftSign("feature", "same_hour_1d_kw", 0.4, 0.25),
    DriftSign("error", "pinball", None, 1.2),
]


def test_signs_become_rows_a_table_and_a_picture():
    rows = build_drift_rows(SIGNS, day=date(2026, 3, 2), version="3")
    assert rows.select(ModelDrift.column_names()).rows() == [
        (date(2026, 3, 2), "3", "feature", "same_hour_1d_kw", 0.4, 0.25, True),
        (date(2026, 3, 2), "3", "error", "pinball", None, 1.2, False),
    ]
    assert render_drift(SIGNS).splitlines()[2:] == [
        "| feature | same_hour_1d_kw | 0.4 | 0.25 | yes |",
        "| error | pinball |  | 1.2 | no |",
    ]
    picture = draw_drift(SIGNS)
    assert picture.count("<rect") == 1
    assert 'width="256.0"' in picture, "0.4 of 0.25, of twice the bound"
