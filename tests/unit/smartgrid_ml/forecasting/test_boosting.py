from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from smartgrid_core.features.load import FEATURES, SCALES, build_load_features
from smartgrid_ml.forecasting import boosting
from smartgrid_ml.forecasting.boosting import BoostingForecaster, BoostingSettings
from smartgrid_ml.forecasting.conformal import count_years_back
from smartgrid_ml.forecasting.protocol import QUANTILES, ServableForecaster

START = datetime(2025, 1, 1, tzinfo=UTC)
LIGHT = BoostingSettings(trees=25, learning_rate=0.2, leaves=7, median_seeds=2, threads=1)


@pytest.fixture(scope="module")
def features() -> pl.DataFrame:
    """Three series of one noisy daily shape: large, small, and a solar one that feeds in."""
    hours = np.arange(70 * 24)
    random = np.random.default_rng(3)
    shape = 3 + np.sin(hours / 24 * 2 * np.pi) + 0.3 * random.standard_normal(len(hours))
    history = pl.concat(
        pl.DataFrame(
            {
                "feeder_id": name,
                "hour_start": [START + timedelta(hours=int(hour)) for hour in hours],
                "load_kw": size * shape,
            }
        )
        for name, size in (("large", 100.0), ("small", 10.0), ("solar", -10.0))
    )
    issues = [START + timedelta(days=day) for day in range(20, 70)]
    return build_load_features(history, issue_times=issues, timezone="UTC", country=None)


@pytest.fixture(scope="module")
def split(features) -> tuple[pl.DataFrame, pl.DataFrame]:
    cut = START + timedelta(days=58)
    return (
        features.filter(pl.col("hour_start") < cut),
        features.filter(pl.col("issue_time") >= cut),
    )


@pytest.fixture(scope="module")
def fitted(split) -> BoostingForecaster:
    return BoostingForecaster(LIGHT).fit(split[0])


def test_it_shows_what_an_export_needs(fitted):
    assert isinstance(fitted, ServableForecaster)
    assert fitted.feature_names == FEATURES
    assert fitted.scale_feature in SCALES
    assert [len(fitted.boosters[quantile]) for quantile in QUANTILES] == [1, 2, 1]
    assert {len(fitted.offsets[quantile]) for quantile in QUANTILES} == {24}
    assert not fitted.offsets[0.5].any()


def test_the_scale_of_the_same_rows_is_looked_for_once(split, monkeypatch: pytest.MonkeyPatch):
    head, tail = split
    judged: list[int] = []
    find_calmest_scale = boosting._find_calmest_scale

    def judge(head: pl.DataFrame, tail: pl.DataFrame, **how: BoostingSettings) -> str:
        judged.append(head.height)
        return find_calmest_scale(head, tail, **how)

    monkeypatch.setattr(boosting, "_find_calmest_scale", judge)
    monkeypatch.setattr(boosting, "_CHOSEN_SCALES", {})
    chosen = boosting.choose_scale(head, tail, settings=LIGHT)

    assert boosting.choose_scale(head.clone(), tail, settings=LIGHT) == chosen
    assert judged == [head.height]
    other = tail.with_columns(pl.col("load_kw") * 2)
    boosting.choose_scale(head, other, settings=LIGHT)
    boosting.choose_scale(head, tail, settings=replace(LIGHT, leaves=5))
    assert judged == [head.height] * 3


def test_a_prediction_is_what_the_docstring_says(fitted, split):
    _, test = split
    scale = test[fitted.scale_feature].cast(pl.Float32).cast(pl.Float64).to_numpy()
    inputs = np.column_stack(
        [
            test[name].cast(pl.Float32).cast(pl.Float64).fill_null(float("nan")).to_numpy()
            / (scale if name in fitted.scaled_features else 1.0)
            for name in fitted.feature_names
        ]
    )
    lead = test["lead_hours"].to_numpy().astype(int)
    by_hand = [
        np.mean([booster.predict(inputs) for booster in fitted.boosters[quantile]], axis=0)
        + fitted.offsets[quantile][lead]
        for quantile in QUANTILES
    ]
    loads = np.sort(np.column_stack(by_hand), axis=1) * scale[:, np.newaxis]
    assert_frame_equal(fitted.predict(test), pl.DataFrame(loads, schema=["p10", "p50", "p90"]))


def test_quantiles_are_ordered_hold_their_promise_and_follow_the_size_of_a_series(fitted, split):
    _, test = split
    answer = pl.concat([test, fitted.predict(test)], how="horizontal")
    inside = pl.col("load_kw").is_between("p10", "p90").mean()
    assert answer.select((pl.col("p10") <= pl.col("p50")).all()).item()
    assert answer.select((pl.col("p50") <= pl.col("p90")).all()).item()
    assert 0.65 < answer.select(inside).item() < 0.95
    means = dict(answer.group_by("feeder_id").agg(pl.col("p50").mean()).rows())
    assert means == {
        "large": pytest.approx(300, rel=0.05),
        "small": pytest.approx(30, rel=0.05),
        "solar": pytest.approx(-30, rel=0.05),
    }


def test_the_same_rows_train_the_same_model(fitted, split):
    train, test = split
    again = BoostingForecaster(LIGHT).fit(train)
    assert_frame_equal(again.predict(test), fitted.predict(test), check_exact=True)


def test_a_row_without_a_level_gets_no_forecast(fitted, split):
    unknown = (
        split[1]
        .head(2)
        .with_columns(pl.lit(None, dtype=pl.Float64).alias(scale) for scale in SCALES)
    )
    assert fitted.predict(unknown).rows() == [(None, None, None)] * 2


def test_no_known_load_is_refused(split):
    empty = split[0].with_columns(load_kw=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(ValueError, match="no row with a known load"):
        BoostingForecaster(LIGHT).fit(empty)


def test_one_issue_time_trains_without_calibration(split):
    train, test = split
    one = train.filter(pl.col("issue_time") == train["issue_time"].min())
    model = BoostingForecaster(LIGHT).fit(one)
    assert model.predict(test).null_count().sum_horizontal().item() == 0
    assert not any(offsets.any() for offsets in model.offsets.values())


def test_columns_known_ahead_become_inputs(split):
    train, _ = split
    more = train.with_columns(exog_price=pl.col("load_kw") / pl.col("level_kw"))
    model = BoostingForecaster(LIGHT).fit(more)
    assert model.feature_names == (*FEATURES, "exog_price")
    gain = model.boosters[0.5][0].feature_importance("gain")
    assert gain.argmax() == len(gain) - 1


@pytest.mark.parametrize(
    ("days", "years"),
    [(30, {0: 30}), (700, {0: 700}), (800, {0: 365, 1: 435}), (1095, {0: 365, 1: 365, 2: 365})],
)
def test_the_calibrated_span_is_cut_into_whole_years_back_from_its_end(days, years):
    issues = pl.Series([START + timedelta(days=day) for day in range(days)])
    found_years, counts = np.unique(count_years_back(issues), return_counts=True)
    assert dict(zip(found_years.tolist(), counts.tolist(), strict=True)) == years
    assert count_years_back(issues)[-1] == 0
