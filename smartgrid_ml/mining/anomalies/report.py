"""Anomalies for people: the worst of them as a Markdown list, one with its range as a picture."""

from typing import TYPE_CHECKING

import polars as pl

from smartgrid_core.markdown import render_table
from smartgrid_core.time import DAY
from smartgrid_ml.mining.plots import create_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LISTED = 10


def sort_worst_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `Anomalies`, the strangest first; among equals the longest, then by name."""
    lasting = pl.col("end_time") - pl.col("start_time")
    return rows.sort(
        "score", lasting, "subject_id", "start_time", descending=[True, True, False, False]
    )


def format_top_list(rows: pl.DataFrame, *, most: int = LISTED) -> str:
    """Return the `most` worst rows of `Anomalies` as a Markdown table: where, what, when, why."""
    worst = sort_worst_first(rows).head(most)
    table = render_table(
        ["where", "what", "since", "score", "why"],
        (
            (
                *(f"{row['subject_id']} {row['quantity']}", row["kind"].replace("_", " ")),
                *(f"{row['start_time']:%Y-%m-%d %H:%MZ}", f"{row['score']:.1f}", row["reason"]),
            )
            for row in worst.iter_rows(named=True)
        ),
    )
    rest = rows.height - worst.height
    return table + (f"\n\nand {rest} more" if rest else "")


def plot_worst_anomaly(rows: pl.DataFrame, scores: pl.DataFrame | pl.LazyFrame) -> "Figure":
    """Return the worst anomaly that has readings: values, expected range and its stretch.

    ``rows``: of `Anomalies`, at least one; ``scores``: of `AnomalyScores`.
    """
    names = ["subject_id", "quantity"]
    known = scores.lazy().select(names).unique().collect()
    shown = sort_worst_first(rows).join(known, on=names, how="semi", maintain_order="left")
    worst = (shown if shown.height else sort_worst_first(rows)).row(0, named=True)
    near = (
        scores.lazy()
        .filter(
            pl.col("subject_id") == worst["subject_id"],
            pl.col("quantity") == worst["quantity"],
            pl.col("time").is_between(worst["start_time"] - DAY, worst["end_time"] + DAY),
        )
        .sort("time")
        .collect()
    )
    figure = create_figure()
    axes = figure.subplots()
    times = near["time"].to_list()
    axes.fill_between(
        times,
        near["lower_value"].fill_null(float("nan")).to_numpy(),
        near["upper_value"].fill_null(float("nan")).to_numpy(),
        color="tab:blue",
        alpha=0.2,
        label="expected",
    )
    axes.plot(times, near["value"].fill_null(float("nan")).to_numpy(), color="black", label="value")
    axes.axvspan(worst["start_time"], worst["end_time"], color="tab:red", alpha=0.15)
    axes.set_title(f"{worst['subject_id']} {worst['quantity']}: {worst['kind'].replace('_', ' ')}")
    axes.legend(loc="upper left")
    figure.autofmt_xdate()
    return figure
