"""The calibrated band: by lead, by year, and from neighbours where a lead has too few rows."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from smartgrid_ml.forecasting.conformal import (
    FEWEST_TO_JUDGE,
    calibrate_offsets,
    choose_cautious_offsets,
    find_calibration_start,
)

FIRST = datetime(2024, 1, 1, tzinfo=UTC)


def test_of_several_years_the_most_cautious_one_moves_the_band():
    n = FEWEST_TO_JUDGE
    residuals = np.concatenate([np.full(n, -1.0), np.full(n, 2.0)])
    lead, year = np.zeros(2 * n, dtype=np.int64), np.repeat([0, 1], n)
    low, high = (
        choose_cautious_offsets(residuals, quantile=q, lead=lead, year=year, n_leads=1)
        for q in (0.1, 0.9)
    )
    assert (low.tolist(), high.tolist()) == ([-1.0], [2.0])


@pytest.mark.parametrize(
    ("rows_per_lead", "neighbours"),
    [(FEWEST_TO_JUDGE, [1, 2, 3]), (FEWEST_TO_JUDGE // 5, [0, 1, 2, 3, 4, 5]), (2, range(12))],
)
def test_a_lead_with_few_rows_borrows_those_of_its_neighbours_then_of_all(
    rows_per_lead, neighbours
):
    """The residual is the lead itself, 0 to 11; the middle of what lead 2 is judged by counts."""
    lead = np.repeat(np.arange(12), rows_per_lead)
    offsets = choose_cautious_offsets(
        lead.astype(float), quantile=0.5, lead=lead, year=np.zeros_like(lead), n_leads=12
    )
    assert offsets[2] == np.median(neighbours)


def test_the_median_is_never_moved():
    issues = pl.Series([FIRST] * 10)
    offsets = calibrate_offsets(
        np.ones((10, 3)), lead_hours=np.full(10, 0.5), issue_times=issues, n_leads=2
    )
    assert offsets.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize(("most_days", "days_back"), [(None, 20), (1000, 20), (5, 5)])
def test_the_calibration_span_is_a_share_of_the_issue_times_and_some_days_at_most(
    most_days, days_back
):
    issues = pl.Series([FIRST + timedelta(days=day) for day in range(100)])
    start = find_calibration_start(issues, share=0.2, most_days=most_days)
    assert start == FIRST + timedelta(days=100 - days_back)
