"""Rules as people read them: tables in Markdown and a picture of all that was found."""

from typing import TYPE_CHECKING

import polars as pl

from smartgrid_core.markdown import render_table
from smartgrid_ml.mining.plots import create_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_ROWS = 20
"""Rows of a table that people still read; the rest is in the store."""

RULE_COLUMNS = (
    *("rank", "rule", "support", "confidence", "lift"),
    *("leverage", "conviction", "q", "feeders"),
)


def render_rules(rules: pl.DataFrame) -> str:
    """Return the best rows of `EventRules` as Markdown, each with its sentence and figures."""
    if rules.is_empty():
        return "No rule is significant."
    table = render_table(
        RULE_COLUMNS,
        (
            (
                *(row["rank"], row["sentence"], f"{row['support']:.3f}"),
                *(f"{row['confidence']:.2f}", f"{row['lift']:.1f}", f"{row['leverage']:.3f}"),
                "∞" if row["conviction"] is None else f"{row['conviction']:.1f}",
                *(f"{row['q_value']:.1g}", row["feeders"]),
            )
            for row in rules.sort("rank").head(SHOWN_ROWS).iter_rows(named=True)
        ),
    )
    return table + _count_hidden(rules.height)


def render_itemsets(itemsets: pl.DataFrame) -> str:
    """Return the largest rows of `EventItemsets` with two items and more, as Markdown."""
    several = itemsets.filter(pl.col("length") > 1).sort(
        ["support", "feeder_id", "items"], descending=[True, False, False]
    )
    if several.is_empty():
        return "Nothing is often together."
    shown = several.head(SHOWN_ROWS).select("feeder_id", "items", "transactions", "support")
    table = render_table(
        ["feeder", "items", "transactions", "support"],
        ((*known, f"{support:.3f}") for *known, support in shown.iter_rows()),
    )
    return table + _count_hidden(several.height)


def render_changes(changes: pl.DataFrame) -> str:
    """Return the rows of `EventRuleChanges` that moved, as Markdown."""
    moved = changes.filter(pl.col("change") != "steady").sort("q_value", "feeder_id", "antecedent")
    if moved.is_empty():
        return "No rule has changed."
    table = render_table(
        ["change", "feeder", "rule", "confidence before", "now", "q"],
        (
            (
                *(row["change"], row["feeder_id"], f"{row['antecedent']} → {row['consequent']}"),
                *(_format_share(row[name]) for name in ("confidence_before", "confidence")),
                f"{row['q_value']:.1g}",
            )
            for row in moved.head(SHOWN_ROWS).iter_rows(named=True)
        ),
    )
    return table + _count_hidden(moved.height)


def _format_share(share: float | None) -> str:
    return "-" if share is None else f"{share:.2f}"


def _count_hidden(height: int) -> str:
    """Return the lines about rows that are not shown, of `height` in all."""
    return f"\n\nand {height - SHOWN_ROWS} more" if height > SHOWN_ROWS else ""


def plot_rules(rules: pl.DataFrame) -> "Figure":
    """Return support against confidence of every rule, lift as colour, the best by rank.

    ``rules``: rows of `EventRules`.
    """
    figure = create_figure()
    axes = figure.subplots()
    axes.set(xlabel="support", ylabel="confidence", ylim=(0, 1.05), title="Rules by strength")
    if rules.is_empty():
        axes.text(0.5, 0.5, "no rule is significant", ha="center", transform=axes.transAxes)
        return figure
    dots = axes.scatter(rules["support"], rules["confidence"], c=rules["lift"], cmap="viridis")
    figure.colorbar(dots, ax=axes, label="lift")
    for row in rules.sort("rank").head(5).iter_rows(named=True):
        axes.annotate(
            f" {row['rank']}: {row['antecedent']} → {row['consequent']} ({row['feeder_id']})",
            (row["support"], row["confidence"]),
            fontsize=8,
            va="bottom" if row["rank"] % 2 else "top",
        )
    axes.margins(x=0.4)
    return figure
