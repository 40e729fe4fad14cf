"""Any regressor as a forecaster: folds, band and scale."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from smartgrid_ml.evaluation.metrics import score_forecasts
from smartgrid_ml.forecasting.point import PointForecaster, PointModel, Rows


@dataclass(frozen=True)
class Line:
    """Learns by a line of what is always known."""

    settings: Any = None

    def learn(self, rows: Rows) -> PointModel:
        model: PointModel = LinearRegression().fit(np.nan_to_num(rows.inputs), rows.target)
        return KnownOnly(model)


@dataclass(frozen=True)
class KnownOnly:
    model: PointModel

    def predict(self, inputs: Any) -> Any:
        return self.model.predict(np.nan_to_num(inputs))


def rows(issue: list[int], known: list[int] | None = None) -> Rows:
    n = len(issue)
    return Rows(
        ["a"],
        np.zeros((n, 1)),
        np.arange(n, dtype=float),
        np.ones(n),
        np.array(issue),
        None if known is None else np.array(known),
    )


def folds(table: Rows) -> list[tuple[list[float], list[float]]]:
    pairs = table.split_folds(2, share=0.25)
    return [(train.target.tolist(), validate.target.tolist()) for train, validate in pairs]


def test_each_inner_fold_validates_a_later_part_and_trains_on_what_was_known_before_it():
    assert folds(rows([0, 1, 2, 3])) == [([0.0, 1.0], [2.0]), ([0.0, 1.0, 2.0], [3.0])]


def test_a_load_that_is_not_known_yet_when_a_fold_begins_is_not_trained_on():
    two_ahead = rows([0, 1, 2, 3], known=[2, 3, 4, 5])
    assert folds(two_ahead) == [([0.0], [2.0]), ([0.0, 1.0], [3.0])]


@pytest.mark.slow
def test_the_band_holds_four_fifths_of_days_that_nobody_saw(grid_features: pl.DataFrame):
    cut = grid_features["issue_time"].unique().sort()[38]
    before = grid_features.filter(pl.col("hour_start") < cut)
    after = grid_features.filter(pl.col("issue_time") >= cut)
    fitted = PointForecaster("line", Line()).fit(before)
    answer = fitted.predict(after)
    scored = after.select("issue_time", series="feeder_id", actual="load_kw")
    coverage = score_forecasts(pl.concat([scored, answer], how="horizontal"))["coverage"][-1]
    assert 0.7 < coverage < 0.9
    assert answer.filter(
        (pl.col("p10") > pl.col("p50")) | (pl.col("p50") > pl.col("p90"))
    ).is_empty()


@pytest.mark.slow
def test_a_row_without_a_size_has_no_forecast_and_harms_no_other(grid_features: pl.DataFrame):
    fitted = PointForecaster("line", Line()).fit(grid_features)
    two = grid_features.tail(2).with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(None).otherwise(pl.col(fitted.scale_feature))
        .alias(fitted.scale_feature)
    )  # fmt: skip
    answer = fitted.predict(two)
    assert answer.row(0) == (None, None, None)
    assert answer.row(1) == pytest.approx(fitted.predict(grid_features.tail(1)).row(0))
