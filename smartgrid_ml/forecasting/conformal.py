"""Where P10 and P90 must lie to be right on rows that a model has not seen (split conformal)."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from smartgrid_ml.forecasting.scaling import FloatArray

CALIBRATION_SHARE = 0.2
"""The last part of the training issue times, on which the scale and the band are chosen."""

CALIBRATION_DAYS = 3 * 365
"""No more than so many days of it; each whole year of them is calibrated by itself."""

FEWEST_TO_JUDGE = 300
"""Residuals below which a lead borrows those of its neighbours: a decile of fewer is noise."""


def find_calibration_start(issues: pl.Series, *, share: float, most_days: int) -> datetime:
    """The first issue time of the last `share` of them, `most_days` of days at most."""
    times = issues.unique().sort()
    wanted = max(1, round(len(times) * share))
    per_day = max(1, round(len(times) / max(1, times.dt.date().n_unique())))
    start: datetime = times[-min(wanted, most_days * per_day)]
    return start


def split_tail(
    known: pl.DataFrame, *, share: float = CALIBRATION_SHARE, most_days: int = CALIBRATION_DAYS
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows whose hour lies before the calibration span, and rows issued within it.

    `known` are rows of `known_rows`; the first part is empty for a single issue time.
    """
    cut = find_calibration_start(known["issue_time"], share=share, most_days=most_days)
    return known.filter(pl.col("hour_start") < cut), known.filter(pl.col("issue_time") >= cut)


def choose_cautious_offsets(
    missed: FloatArray,
    *,
    quantile: float,
    lead: npt.NDArray[np.int_],
    year: npt.NDArray[np.int64],
    leads: int,
) -> FloatArray:
    """The quantile of residuals (actual - forecast) of every whole hour of lead: (leads,).

    Each `year` is judged by itself: years differ in how well they can be foreseen, and of several
    the most cautious counts.
    """
    yearly = [
        [
            np.quantile(part, quantile)
            for part in _group_by_lead(missed[year == one], lead[year == one], leads=leads)
        ]
        for one in np.unique(year)
    ]
    cautious = np.min if quantile < 0.5 else np.max
    return np.asarray(cautious(yearly, axis=0), dtype=np.float64)


def count_years_back(issues: pl.Series) -> npt.NDArray[np.int64]:
    """Whole years back from the last issue time; what is left before them joins the earliest."""
    days = issues.dt.epoch("d").to_numpy()
    whole = max(1, int(days.max() - days.min() + 1) // 365)
    return np.asarray(np.minimum((days.max() - days) // 365, whole - 1), dtype=np.int64)


def look_up_offsets(offsets: FloatArray, lead: FloatArray) -> FloatArray:
    """The offset of each row's whole hour of lead; the last one beyond it, the first if unknown."""
    index = np.clip(np.floor(np.nan_to_num(lead)).astype(int), 0, len(offsets) - 1)
    return np.asarray(offsets[index], dtype=np.float64)


def _group_by_lead(
    values: FloatArray, lead: npt.NDArray[np.int_], *, leads: int
) -> Iterator[FloatArray]:
    """Values of each lead and its neighbours; of all leads where these are too few to judge."""
    for hour in range(leads):
        for reach in (1, 3, leads):
            part = values[np.abs(lead - hour) <= reach]
            if len(part) >= FEWEST_TO_JUDGE or reach == leads:
                yield part
                break
