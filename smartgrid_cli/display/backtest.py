"""How a backtest looks in a terminal: its leaderboard, and what the searches tried."""

from collections.abc import Sequence

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from smartgrid_ml.automl.trials import SearchResult

SHOWN_SERIES = 8
"""A leaderboard of more series is printed for all of them together only."""

LEADERBOARD_COLUMNS = (
    *("series", "model", "mae", "mape", "nmae", "pinball", "rcrps", "coverage"),
    *("train_s", "predict_ms", "peak_nmae", "artifact_mb"),
)
"""Newer ones stand last: people read the file by position."""

WIDTH = 150
"""Columns of a leaderboard that is written to no terminal."""


def show_leaderboard(leaderboard: pl.DataFrame, console: Console) -> None:
    """Print the rows of all series together, and those of each series if there are few."""
    names = leaderboard["series"].n_unique() - 1
    if not 1 < names <= SHOWN_SERIES:
        leaderboard = leaderboard.filter(pl.col("series") == "all")
    table = Table(title="Leaderboard", show_lines=False)
    for name in LEADERBOARD_COLUMNS:
        table.add_column(
            name, overflow="fold", justify="left" if name in {"series", "model"} else "right"
        )
    for row in leaderboard.iter_rows(named=True):
        if row["error"] is not None:
            table.add_row(row["series"], row["model"], f"[red]{escape(row['error'])}[/red]")
        else:
            table.add_row(*(_format_figure(row[name]) for name in LEADERBOARD_COLUMNS))
    (console if console.is_terminal else Console(width=WIDTH)).print(table)


def show_searches(searches: Sequence[SearchResult], console: Console) -> None:
    """Print one line per engine: how much it tried, how it ended, and its best training error."""
    for found in searches:
        failed = sum(trial.error is not None for trial in found.trials)
        best = (
            "nothing usable"
            if found.best is None
            else f"best MAE {_format_figure(found.best.score)}"
        )
        console.print(
            f"[bold]{found.engine}[/bold] tried {len(found.trials)} models"
            f"{f', {failed} of them failed' if failed else ''}: {best} on its own folds"
            f" ({escape(found.ended)})"
        )


def _format_figure(value: float | str | None) -> str:
    if value is None:
        return "-"
    return (
        value
        if isinstance(value, str)
        else f"{value:,.4g}"
        if abs(value) < 1000
        else f"{value:,.1f}"
    )
