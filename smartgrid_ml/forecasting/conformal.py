"""Where P10 and P90 must lie to be right on rows that a model has not seen (split conformal)."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl

from smartgrid_core.arrays import F64, I64
from smartgrid_ml.forecasting.protocol import MEDIAN, QUANTILES

CALIBRATION_SHARE = 0.2
"""The last part of the training issue times, on which the scale and the band are chosen."""

CALIBRATION_DAYS = 3 * 365
"""No more than so many days of it; each whole year of them is calibrated by itself."""

FEWEST_TO_JUDGE = 300
"""Residuals below which a lead borrows those of its neighbours: a decile of fewer is noise."""


def find_calibration_start(issues: pl.Series, *, share: float, most_days: int | None) -> datetime:
    """Return the first issue time of the last `share` of them, of `most_days` days at most."""
    times = issues.unique().sort()
    count = max(1, round(len(times) * share))
    if most_days is not None:
        per_day = max(1, round(len(times) / max(1, times.dt.date().n_unique())))
        count = min(count, most_days * per_day)
    start: datetime = times[-count]
    return start


def split_tail(
    known: pl.DataFrame,
    *,
    share: float = CALIBRATION_SHARE,
    most_days: int | None = CALIBRATION_DAYS,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows whose hour lies before the calibration span, and rows issued within it.

    `known` are rows of `select_known_rows`; the first part is empty for a single issue time.
    Without `most_days` the span may be as long as its share.
    """
    cut = find_calibration_start(known["issue_time"], share=share, most_days=most_days)
    return known.filter(pl.col("hour_start") < cut), known.filter(pl.col("issue_time") >= cut)


def calibrate_offsets(
    residuals: F64, *, lead_hours: F64, issue_times: pl.Series, n_leads: int
) -> F64:
    """Return how far P10 and P90 must move to be right on rows that the model has not seen.

    Args:
        residuals: float64 (rows, 3), actual - forecast of each of QUANTILES; the median's column is
            not read.
        lead_hours: float64 (rows,), hours from issue to target hour.
        issue_times: the rows' issue times; each whole year of them is judged by itself.
        n_leads: so many whole hours of lead get an offset of their own.

    Returns:
        float64 (3, n_leads), in the unit of the residuals; zeros for the median.
    """
    lead = np.floor(lead_hours).astype(np.int64)
    year = count_years_back(issue_times)
    offsets = np.zeros((len(QUANTILES), n_leads))
    for place, quantile in enumerate(QUANTILES):
        if quantile != MEDIAN:
            offsets[place] = choose_cautious_offsets(
                residuals[:, place], quantile=quantile, lead=lead, year=year, n_leads=n_leads
            )
    return offsets


def choose_cautious_offsets(
    residuals: F64, *, quantile: float, lead: I64, year: I64, n_leads: int
) -> F64:
    """Return the quantile of the residuals of every whole hour of lead.

    Each year is judged by itself: years differ in how well they can be foreseen, and of several
    the most cautious counts.

    Args:
        residuals: float64 (rows,), actual - forecast.
        quantile: which quantile of them, 0 to 1; below 0.5 the least year counts, else the largest.
        lead: int64 (rows,), whole hours of lead.
        year: int64 (rows,), years back from the last issue time.
        n_leads: leads from 0 to n_leads - 1 are judged.

    Returns:
        float64 (n_leads,), in the unit of the residuals.
    """
    # (years, n_leads)
    yearly = [
        [
            np.quantile(part, quantile)
            for part in _group_by_lead(residuals[year == each], lead[year == each], n_leads=n_leads)
        ]
        for each in np.unique(year)
    ]
    most_cautious = np.min if quantile < MEDIAN else np.max
    return np.asarray(most_cautious(yearly, axis=0), dtype=np.float64)


def count_years_back(issues: pl.Series) -> I64:
    """Return whole years back from the last issue time; the rest before them joins the earliest."""
    days = issues.dt.epoch("d").to_numpy()
    whole = max(1, int(days.max() - days.min() + 1) // 365)
    return np.asarray(np.minimum((days.max() - days) // 365, whole - 1), dtype=np.int64)


def look_up_offsets(offsets: F64, lead_hours: F64) -> F64:
    """Return the offset of each row's whole hour of lead, (rows,).

    Beyond the last lead the last offset counts, for an unknown lead the first.

    >>> look_up_offsets(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.5, 30.0, np.nan]))
    array([1., 2., 3., 1.])
    """
    index = np.clip(np.floor(np.nan_to_num(lead_hours)).astype(int), 0, len(offsets) - 1)
    return np.asarray(offsets[index], dtype=np.float64)


def _group_by_lead(values: F64, lead: I64, *, n_leads: int) -> Iterator[F64]:
    """Yield values of each lead and its neighbours; of all leads where these are too few."""
    for hour in range(n_leads):
        for reach in (1, 3, n_leads):
            part = values[np.abs(lead - hour) <= reach]
            if len(part) >= FEWEST_TO_JUDGE or reach == n_leads:
                yield part
                break
