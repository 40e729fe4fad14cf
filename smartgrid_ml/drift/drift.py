"""Whether what a model lives on has moved away from what it learned from. Pure.

Two signs. The features: the population stability index (PSI) of a week against the training days.
The error: the mean loss of a week's served forecasts against the weeks of the backtest.

Loads rise and temperatures turn with every season, which is no news to a model that divides by
the series' level and has the calendar. So the values of loads count in units of the level, and of
the weather only whether it is known; whether a season is one that the model cannot do shows in the
error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from smartgrid_core.aggregates.feeder import GRID
from smartgrid_core.arrays import F64, I64
from smartgrid_core.features.load import SCALE
from smartgrid_core.features.weather import WEATHER_FEATURES

WEEK = 7
"""Issue times of a window: a week has every kind of day."""

LOAD_VALUES = ("same_hour_1d_kw", "same_hour_7d_kw", "same_hour_1d_shifted_kw")
"""Loads that differ by hour: a week of one feeder already has 168 of them. What moves shows here
first; longer lags and means repeat it later."""

KNOWN_SHARE_ONLY = WEATHER_FEATURES
"""Features of which only the share of known values counts."""

PSI_SHIFT = 0.25
"""PSI below 0.1 is no change, up to 0.25 a small one, above it a shift (Siddiqi, 2006, Credit Risk
Scorecards, Wiley)."""

BINS = 10
"""Deciles, as the bounds of the index are usually stated for."""

FEWEST_WEEKS = 4
"""Of the training days: fewer do not tell how much a week differs from the others anyway."""

BAND_QUANTILE = 0.95
"""The quantile of the backtest's weekly means that a week's error may reach."""

ERROR_MARGIN = 1.1
"""A twentieth of the weeks lies above BAND by itself, and a backtest has few: another tenth keeps
those from being taken for drift."""

FEWEST_ISSUES = 5
"""Of a week of served forecasts; the truth of the last days may be late."""

USUAL_MARGIN = 1.5
"""Training weeks are disjoint and few; the week that slides over them day by day differs more."""

MOST_FEEDERS = 500
"""Of more feeders so many are looked at: PSI of two million values does not get surer by more."""


@dataclass(frozen=True, slots=True)
class DriftSign:
    """One figure and the bound beyond which it is drift."""

    kind: str
    """`feature` or `error`."""
    name: str
    """The feature, or `pinball`."""
    figure: float | None
    """An index without unit, or a loss in kW; None where too little is known."""
    bound: float | None
    """In the unit of the figure; None where too little is known."""

    @property
    def is_drifted(self) -> bool:
        """Whether both are known and the figure is beyond."""
        return self.figure is not None and self.bound is not None and self.figure > self.bound


def sample_feeders(feeders: pl.Series) -> list[str]:
    """Return at most MOST_FEEDERS of the feeders, spread over their names; never the whole grid.

    >>> sample_feeders(pl.Series(["F2", "grid", "F1", "F2"]))
    ['F1', 'F2']
    """
    names = sorted(set(feeders) - {GRID})
    return names[:: -(-len(names) // MOST_FEEDERS)] if names else []


def list_needed_columns() -> list[str]:
    """Return the columns of `LoadFeatures` that `measure_feature_drift` reads."""
    return ["feeder_id", "issue_time", SCALE, *LOAD_VALUES, *KNOWN_SHARE_ONLY]


def measure_feature_drift(reference: pl.DataFrame, recent: pl.DataFrame) -> list[DriftSign]:
    """Return one sign per feature: PSI of `recent` against `reference`.

    Both are rows of `LoadFeatures` with the columns of `list_needed_columns`. The bound is
    PSI_SHIFT, or USUAL_MARGIN times the largest PSI that a reference week has against the others:
    how much weeks differ without drift depends on the number of feeders and on what their load is
    like. It is None where the reference has fewer than FEWEST_WEEKS whole weeks. Days before a
    feature has the history that it looks back to are none of its training days.
    """
    days = reference["issue_time"].dt.epoch("d").to_numpy().astype(np.int64)
    return [
        _measure_feature(name, before, now, days=days)
        for name, before, now in _pair_columns(reference, recent)
    ]


def _measure_feature(name: str, before: F64, now: F64, *, days: I64) -> DriftSign:
    """Return the sign of one feature.

    Args:
        name: of the feature; of one in KNOWN_SHARE_ONLY only known and unknown count.
        before: float64 (rows,), values of the training days; NaN is unknown.
        now: float64 (recent rows,), values of the week; NaN is unknown.
        days: int64 (rows,), the training rows' days since 1970.

    Returns:
        Its figure is None if either side has no value, its bound where there are few weeks.
    """
    is_kept = days >= _find_first_known_day(before, days)
    before, weeks = before[is_kept], _number_whole_weeks(days[is_kept])
    edges = np.array([]) if name in KNOWN_SHARE_ONLY else _find_edges(before)
    total = _count_bins(before, edges=edges)
    usual = [
        compute_psi_of_counts(total - week, week)
        for week in _count_bins_by_week(before, weeks, edges=edges)
    ]
    bound = max(PSI_SHIFT, USUAL_MARGIN * max(usual)) if len(usual) >= FEWEST_WEEKS else None
    if not len(now) or not len(before):
        return DriftSign("feature", name, None, bound)
    figure = compute_psi_of_counts(total, _count_bins(now, edges=edges))
    return DriftSign("feature", name, figure, bound)


def compute_psi(reference: F64, recent: F64) -> float:
    """Return the population stability index, 0 for equal distributions.

    It is the sum over bins of (p - q) ln(p / q), p and q the shares of the two in a bin.
    Bins are the deciles of what is known of the reference, and one for NaN.

    >>> compute_psi(np.arange(10.0), np.arange(10.0))
    0.0
    """
    edges = _find_edges(reference)
    return compute_psi_of_counts(
        _count_bins(reference, edges=edges), _count_bins(recent, edges=edges)
    )


def compute_psi_of_counts(reference: F64, recent: F64) -> float:
    """Return the PSI of two histograms with the same bins.

    Half a value is added to every bin, so that an empty one is as unlikely as the sample says.
    """
    p = (reference + 0.5) / (reference + 0.5).sum()
    q = (recent + 0.5) / (recent + 0.5).sum()
    return float(((q - p) * np.log(q / p)).sum())


def measure_error_drift(served: pl.DataFrame, backtest: pl.DataFrame) -> DriftSign:
    """Return the mean pinball loss of the served forecasts against that of the backtest's weeks.

    Both are tables of losses, `served` of one week; only series that are in both count. The bound
    is ERROR_MARGIN times the BAND quantile of the means of seven successive issue times of the
    backtest; None if it has fewer than two weeks of them.
    """
    name = "pinball"
    series = set(served["series"]) & set(backtest["series"])
    now = _average_by_issue(served.filter(pl.col("series").is_in(series)))
    before = _average_by_issue(backtest.filter(pl.col("series").is_in(series)))
    figure = float(now.mean()) if len(now) >= FEWEST_ISSUES else None  # type: ignore[arg-type]  # a mean of floats
    if len(before) < 2 * WEEK:
        return DriftSign("error", name, figure, None)
    weekly = before.rolling_mean(WEEK).drop_nulls().to_numpy()
    return DriftSign(
        "error", name, figure, ERROR_MARGIN * float(np.quantile(weekly, BAND_QUANTILE))
    )


def _average_by_issue(losses: pl.DataFrame) -> pl.Series:
    """Return the mean loss per issue time, in order."""
    weight = pl.col("hours")
    return (
        losses.group_by("issue_time")
        .agg(loss=(pl.col("pinball") * weight).sum() / weight.sum())
        .sort("issue_time")["loss"]
    )


def _pair_columns(reference: pl.DataFrame, recent: pl.DataFrame) -> list[tuple[str, F64, F64]]:
    """Return every feature with its values in both, NaN if unknown; loads in units of the level."""
    expressions: Mapping[str, pl.Expr] = {
        **{name: pl.col(name) / pl.col(SCALE) for name in LOAD_VALUES},
        **{name: pl.col(name) for name in KNOWN_SHARE_ONLY},
    }
    return [
        (name, _read_values(reference, expression), _read_values(recent, expression))
        for name, expression in expressions.items()
    ]


def _read_values(frame: pl.DataFrame, expression: pl.Expr) -> F64:
    values = frame.select(expression.cast(pl.Float64)).to_series().fill_null(np.nan).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _find_first_known_day(values: F64, days: I64) -> int:
    """Return the first day on which half of the values are known; before all if there is none."""
    is_known = ~np.isnan(values)
    every_day, place = np.unique(days, return_inverse=True)
    # share of known values per day, (days,)
    shares = np.bincount(place, weights=is_known) / np.maximum(1, np.bincount(place))
    enough = every_day[shares >= 0.5]
    return int(enough[0]) if len(enough) else int(np.iinfo(np.int64).min)


def _number_whole_weeks(days: I64) -> I64:
    """Return the whole week, from the first day on, of each row; -1 for the days left over."""
    if not len(days):
        return days
    week = (days - days.min()) // WEEK
    whole = (days.max() - days.min() + 1) // WEEK
    return np.where(week < whole, week, -1)


def _find_edges(values: F64) -> F64:
    """Return inner edges of the deciles; fewer where values repeat, none where nothing is known."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.array([])
    return np.unique(np.quantile(known, np.arange(1, BINS) / BINS))


def _assign_bins(values: F64, *, edges: F64) -> I64:
    """Return the bin of every value; the last one is NaN's."""
    inner = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, inner).astype(np.int64)


def _count_bins(values: F64, *, edges: F64) -> F64:
    return np.bincount(_assign_bins(values, edges=edges), minlength=len(edges) + 2).astype(float)


def _count_bins_by_week(values: F64, weeks: I64, *, edges: F64) -> list[F64]:
    """Return one histogram for every whole week that has rows."""
    return [
        _count_bins(values[weeks == week], edges=edges) for week in np.unique(weeks[weeks >= 0])
    ]
