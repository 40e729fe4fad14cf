"""Reading a leaderboard: which backtest is the newest, and how it looks to people."""

import polars as pl

from smartgrid_ml.evaluation.metrics import METRICS

ALL = "all"
"""The series that stands for all of them together."""


def newest(leaderboard: pl.DataFrame) -> pl.DataFrame:
    """The rows of `LoadBacktest` that were scored last."""
    return leaderboard.filter(pl.col("scored_at") == pl.col("scored_at").max())


def leaderboard_markdown(board: pl.DataFrame) -> str:
    """The rows over all series as a Markdown table, the least pinball loss first."""
    overall = board.filter(pl.col("series") == ALL).sort("pinball", "model", nulls_last=True)
    columns = ["model", *METRICS, "train_s", "predict_ms", "error"]
    cells = [columns, ["---"] * len(columns)]
    cells += [[_shown(value) for value in row] for row in overall.select(columns).iter_rows()]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _shown(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.4g}"
