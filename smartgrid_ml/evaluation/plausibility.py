"""Whether a forecast can be one of a load at all; judged on unseen rows, before it is scored.

A model that is orders of magnitude off now and then, or answers the same number always, may still
win a mean over many series. It is not ranked: its first implausible answer is reported instead.
"""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from smartgrid_core.errors import SmartGridError
from smartgrid_core.features.load import LOAD_FEATURES, SCALE
from smartgrid_core.rollout.labels import OUTPUTS

HIGHEST_RATIO = 5.0
"""Times the largest |load| that the series was known to have: no feeder grows so in a night."""

WRONG_SIGN_SHARE = 0.1
"""Of the largest known |load|: so far may the P50 of a load that was never negative fall below 0
(and that of a feed-in rise above), as an additive model near zero does."""

MAGNITUDE_RATIO = 10.0
"""Mean |P50| against the series' level, either way: an order of magnitude."""

FEWEST_HOURS = 24
"""Rows of a series by which its level and its movement are judged: a day."""

MOVING_SHARE = 0.05
"""Between the quartiles of a load that moves, in mean |load|: one that is rarely there has a still
median."""

STILL_SHARE = 1e-6
"""Standard deviation of a P50 that does not move, in mean |P50|."""

SIGNED_FEATURES = ("latest_1h_kw", "min_24h_kw", "max_24h_kw", "same_hour_1d_kw")
"""Features that are loads of hours just before the tested ones: what turned to feed-in shows."""


class PlausibilityError(SmartGridError):
    """A model answered what cannot be a load; the message says where."""


DescribeRow = Callable[[dict[str, Any]], str]
"""Returns the sentence about a row that breaks a rule."""


def find_implausible(
    forecasts: pl.DataFrame, *, test: pl.DataFrame, train: pl.DataFrame
) -> str | None:
    """Return what is wrong with the first answer that cannot be one; None if all could be.

    `forecasts` are rows of FORECAST_SCHEMA of one model, in the order of `test`, the `LoadFeatures`
    that it answered; `train` are those that it learned from. Judged in this order, by series and
    time: every row whose level is known has finite P10, P50, P90; none lies beyond HIGHEST_RATIO
    times the largest known |load|; P50 has a sign that the load has had, the hours known at the
    tested issue times included; and over a series, the mean |P50| is of the order of magnitude of
    the level, or of the median load where that is less, and P50 moves if the load did before and
    does now.
    """
    rows = _add_known_loads(forecasts, test=test, train=train)
    if (broken := _find_broken_rule(rows, _ROW_RULES)) is not None:
        row, sentence = broken
        return f"{_describe_place(row)}: {sentence}"
    if (broken := _find_broken_rule(_aggregate_by_series(rows), _SERIES_RULES)) is not None:
        row, sentence = broken
        return f"{_describe_place(row)} and all {row['hours']} hours: {sentence}"
    return None


def _add_known_loads(
    forecasts: pl.DataFrame, *, test: pl.DataFrame, train: pl.DataFrame
) -> pl.DataFrame:
    """Return the forecasts with what was known of their series' loads, by series and time.

    Adds `level` of the row, and of the series `most` (the largest |load|), `lowest`, `highest`,
    `median` (of |load|) and `moved`, all in the unit of the load.
    """
    known = [name for name in (SCALE, *LOAD_FEATURES) if name in test.columns]
    largest = pl.max_horizontal(pl.col(known).abs().fill_nan(None).max())
    signed = [pl.col(name).fill_nan(None) for name in SIGNED_FEATURES if name in test.columns]
    unknown = pl.lit(None, pl.Float64)
    load = pl.col("load_kw").fill_nan(None)
    learned = train.group_by(series="feeder_id").agg(
        largest=pl.max_horizontal(load.abs().max(), largest),
        lowest=load.min(),
        highest=load.max(),
        median=load.abs().median(),
        moved=_is_moving(load),
    )
    tested = test.group_by(series="feeder_id").agg(
        largest_now=largest,
        lowest_now=pl.min_horizontal(unknown, *(feature.min() for feature in signed)),
        highest_now=pl.max_horizontal(unknown, *(feature.max() for feature in signed)),
    )
    return (
        forecasts.with_columns(pl.col(*OUTPUTS, "actual").fill_nan(None), level=test[SCALE])
        .join(tested, on="series", how="left")
        .join(learned, on="series", how="left")
        .with_columns(
            most=pl.max_horizontal("largest", "largest_now"),
            lowest=pl.min_horizontal("lowest", "lowest_now"),
            highest=pl.max_horizontal("highest", "highest_now"),
        )
        .sort("series", "issue_time", "time")
    )


def _find_broken_rule(
    rows: pl.DataFrame, rules: Sequence[tuple[pl.Expr, DescribeRow]]
) -> tuple[dict[str, Any], str] | None:
    """Return the first row that breaks the first broken rule, and the sentence about it."""
    for is_wrong, describe in rules:
        wrong = rows.filter(is_wrong).head(1)
        if wrong.height:
            row = wrong.row(0, named=True)
            return row, describe(row)
    return None


def _aggregate_by_series(rows: pl.DataFrame) -> pl.DataFrame:
    """Return means and movements over the rows with a P50, in the order of series."""
    return (
        rows.filter(pl.col("p50").is_not_null())
        .group_by("series", maintain_order=True)
        .agg(
            pl.first("issue_time", "time", "moved", "median"),
            hours=pl.len(),
            answered=pl.col("p50").abs().mean(),
            first=pl.col("p50").first(),
            level=pl.col("level").abs().mean(),
            was=pl.col("actual").abs().mean(),
            is_still=pl.col("p50").std().fill_null(0.0) <= STILL_SHARE * pl.col("p50").abs().mean(),
            moves=_is_moving(pl.col("actual")),
        )
        .filter(pl.col("hours") >= FEWEST_HOURS)
    )


def _is_moving(load: pl.Expr) -> pl.Expr:
    """Whether the quartiles of a load lie apart."""
    width = load.quantile(0.75, "linear") - load.quantile(0.25, "linear")
    return width.fill_null(0.0) > MOVING_SHARE * load.abs().mean()


def _describe_place(row: dict[str, Any]) -> str:
    """Return series, issue time and hour of a row in words."""
    return (
        f"series {row['series']}, issued {row['issue_time']:%Y-%m-%d %H:%M} for"
        f" {row['time']:%Y-%m-%d %H:%M}"
    )


def _find_farthest(row: dict[str, Any]) -> str:
    """Return the name of the quantile that lies furthest from zero."""
    return max(OUTPUTS, key=lambda name: abs(row[name]) if row[name] is not None else -1.0)


_HAS_LEVEL = (pl.col("level").is_finite() & (pl.col("level") > 0)).fill_null(False)
_IS_INFINITE = pl.any_horizontal(pl.col(*OUTPUTS).is_infinite()).fill_null(False)
_IS_UNKNOWN = pl.any_horizontal(pl.col(*OUTPUTS).is_null())

_ROW_RULES: tuple[tuple[pl.Expr, DescribeRow], ...] = (
    (
        _IS_INFINITE | (_HAS_LEVEL & _IS_UNKNOWN),
        lambda row: (
            f"P10, P50, P90 are {row['p10']}, {row['p50']}, {row['p90']} where the level is"
            f" {row['level'] if row['level'] is None else format(row['level'], '.4g')}"
        ),
    ),
    (
        pl.max_horizontal(pl.col(*OUTPUTS).abs()) > HIGHEST_RATIO * pl.col("most"),
        lambda row: (
            f"{_find_farthest(row).upper()} is {row[_find_farthest(row)]:.4g}, beyond "
            f"{HIGHEST_RATIO:g} times the"
            f" largest known load of {row['most']:.4g}"
        ),
    ),
    (
        (pl.col("lowest") >= 0) & (pl.col("p50") < -WRONG_SIGN_SHARE * pl.col("most")),
        lambda row: f"P50 is {row['p50']:.4g} of a load that was never below {row['lowest']:.4g}",
    ),
    (
        (pl.col("highest") <= 0) & (pl.col("p50") > WRONG_SIGN_SHARE * pl.col("most")),
        lambda row: f"P50 is {row['p50']:.4g} of a load that was never above {row['highest']:.4g}",
    ),
)

_SERIES_RULES: tuple[tuple[pl.Expr, DescribeRow], ...] = (
    (
        (pl.col("answered") > MAGNITUDE_RATIO * pl.max_horizontal("level", "was"))
        | (MAGNITUDE_RATIO * pl.col("answered") < pl.min_horizontal("level", "was", "median")),
        lambda row: (
            f"mean |P50| is {row['answered']:.4g}, orders of magnitude off the level of"
            f" {row['level']:.4g}"
        ),
    ),
    (
        pl.col("is_still") & pl.col("moves") & pl.col("moved"),
        lambda row: f"P50 is {row['first']:.4g} always, while the load moves",
    ),
)
