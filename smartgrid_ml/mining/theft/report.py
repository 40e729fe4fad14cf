"""The list of inspections as people read it, and the balance that speaks for or against it."""

from typing import TYPE_CHECKING

import polars as pl

from smartgrid_core.markdown import render_table
from smartgrid_ml.mining.plots import create_figure
from smartgrid_ml.mining.theft.inspection_list import format_probability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20
"""Rows of the table; the rest is in the store."""


def render_inspections(inspections: pl.DataFrame) -> str:
    """Return the first rows of `Inspections` as a Markdown table."""
    if inspections.is_empty():
        return "Nobody calls for a visit."
    return render_table(
        ["rank", "where", "suspicion", "probability", "kWh in 30 days", "why"],
        (
            (
                *(row["rank"], f"{row['subject_kind']} {row['subject_id']}"),
                *(row["suspicion"].replace("_", " "), _format_probability(row["probability"])),
                *(_format_figure(row["recoverable_kwh_month"], 0), row["reason"]),
            )
            for row in inspections.sort("rank").head(SHOWN).iter_rows(named=True)
        ),
    )


def render_attack_kinds(by_kind: pl.DataFrame) -> str:
    """Return how well attacks are detected, a row per kind, as a Markdown table.

    ``by_kind``: as `GridInspection.by_kind`.
    """
    return render_table(
        ["attack", "AUC of a day", "found at 5 % false alarms", "AUC of a meter"],
        (
            (
                *(row["attack"].replace("_", " "), f"{row['day_auc']:.4f}"),
                *(f"{row['day_detection']:.3f}", _format_figure(row["meter_auc"], 4)),
            )
            for row in by_kind.iter_rows(named=True)
        ),
    )


def _format_probability(probability: float | None) -> str:
    return "" if probability is None else format_probability(probability)


def _format_figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def plot_balance(
    balance: pl.DataFrame,
    *,
    node_id: str,
    gap: pl.DataFrame | None = None,
    meter_id: str | None = None,
) -> "Figure":
    """Return a picture of what a node misses day by day, with its band and a suspect's gap.

    Args:
        balance: Rows of `EnergyBalance`.
        node_id: The node.
        gap: Columns day, gap_kwh of the suspect below it, as `compute_daily_gap` returns them.
        meter_id: The suspect, for the legend.
    """
    figure = create_figure()
    axes = figure.add_subplot()
    of_node = balance.filter(pl.col("node_id") == node_id).sort("day")
    days, band = of_node["day"].to_list(), of_node["band_kwh"].to_numpy()
    axes.fill_between(days, -band, band, color="0.85", label="usual", step="mid")
    axes.plot(days, of_node["unexplained_kwh"].to_numpy(), color="C3", label=f"{node_id} misses")
    if gap is not None:
        axes.plot(
            gap["day"].to_list(),
            gap["gap_kwh"].to_numpy(),
            color="C0",
            linestyle="--",
            label=f"{meter_id} counts too little, by its past",
        )
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_ylabel("kWh a day")
    axes.legend(loc="upper left")
    axes.tick_params(axis="x", rotation=30)
    return figure
