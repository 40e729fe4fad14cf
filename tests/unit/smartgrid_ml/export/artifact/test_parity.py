from pathlib import Path

import numpy as np
import polars as pl
import pytest

from smartgrid_core.errors import PublicationError
from smartgrid_core.features.load import FEATURES, SCALES
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.export.artifact import parity
from smartgrid_ml.export.artifact.parity import (
    as_served,
    check_export_parity,
    make_hard_rows,
    select_golden_batch,
)

INPUTS = ("lead_hours", "level_kw", "same_hour_1d_kw", "temperature_1d_c")


class Offline:
    """Answers what it is made with."""

    name = "offline"
    feature_names = INPUTS

    def __init__(self, answers: pl.DataFrame) -> None:
        self.answers = answers

    def fit(self, features: pl.DataFrame) -> "Offline":
        return self

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        return self.answers


def quantiles(*rows: tuple[float | None, float | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(OUTPUTS, pl.Float64), orient="row")


def test_the_golden_batch_is_the_same_rows_whatever_their_order(grid_features: pl.DataFrame):
    once = select_golden_batch(grid_features, inputs=INPUTS, n=32)
    again = select_golden_batch(grid_features.sample(fraction=1, shuffle=True), inputs=INPUTS, n=32)

    assert once.equals(again, null_equal=True)
    assert once.schema == dict.fromkeys(INPUTS, pl.Float32)
    assert once.height == 32
    assert (once["level_kw"] / 50).round().n_unique() == 4, "every feeder is asked for"
    assert once["temperature_1d_c"].is_nan().all(), "an unknown input is NaN, as on the wire"


def test_a_golden_batch_takes_every_row_of_a_small_table(grid_features: pl.DataFrame):
    few = grid_features.head(5)

    assert select_golden_batch(few, inputs=INPUTS, n=32).equals(as_served(few, inputs=INPUTS))


def test_rows_without_a_level_cannot_be_golden(grid_features: pl.DataFrame):
    unknown = grid_features.with_columns(level_kw=pl.lit(None, pl.Float64))

    with pytest.raises(PublicationError, match="no row"):
        select_golden_batch(unknown, inputs=INPUTS)


@pytest.mark.parametrize(
    ("exported", "offline", "difference"),
    [
        ((1.0, 2.0, 3.0), (1.0, 2.0, 3.0), 0.0),
        ((1.0, 2.0, 3.0), (None, None, None), np.inf),
        ((np.nan, np.nan, np.nan), (None, None, None), 0.0),
        ((np.inf, 2.0, 3.0), (np.inf, 2.0, 3.0), 0.0),
        ((1e6 + 1, 2e6, 3e6), (1e6, 2e6, 3e6), 1e-6),
        ((0.0, 0.00001, 3.0), (0.0, 0.0, 3.0), 1e-5),
    ],
)
def test_parity_is_relative_above_one_kilowatt_and_absolute_below(
    monkeypatch: pytest.MonkeyPatch, exported, offline, difference: float
):
    monkeypatch.setattr(parity, "ask_saved_model", lambda *_: quantiles((5, 6, 7), exported))
    forecaster = Offline(quantiles((5, 6, 7), offline))

    worst = check_export_parity(forecaster, Path(), rows=pl.DataFrame(), tolerance=np.inf)

    assert worst == pytest.approx(difference, rel=1e-6)


def test_a_difference_beyond_the_tolerance_names_the_row(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parity, "ask_saved_model", lambda *_: quantiles((5, 6, 7), (5, 6, 7.1)))

    with pytest.raises(PublicationError, match=r"p90 of row 1 is 7.1 exported and 7.0 offline"):
        check_export_parity(Offline(quantiles((5, 6, 7), (5, 6, 7))), Path(), rows=pl.DataFrame())


def test_hard_rows_are_the_newest_ones_and_others_with_gaps_zeros_and_extremes(
    grid_features: pl.DataFrame,
):
    served = as_served(grid_features, inputs=FEATURES)
    rows = make_hard_rows(served, n=10_000)
    hard = rows.tail(5_000)
    values = hard.to_numpy()

    assert rows.height == 10_000
    assert rows.schema == served.schema
    assert rows.head(served.height).equals(served.tail(5_000))
    assert rows.equals(make_hard_rows(served, n=10_000))
    assert np.isnan(values).mean() > 0.08
    assert (values == 0).any()
    assert np.nanmax(np.abs(values)) > 100 * np.nanmax(np.abs(served.to_numpy()))
    for name in SCALES:
        assert hard.filter(pl.col(name) <= 0).is_empty()
