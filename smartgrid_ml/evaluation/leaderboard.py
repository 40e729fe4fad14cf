"""Reading a leaderboard: which backtest is the newest, and how it is shown to people."""

import json
from typing import cast

import polars as pl

from smartgrid_core.errors import SmartGridError
from smartgrid_core.markdown import render_table
from smartgrid_ml.automl.trials import Recipe
from smartgrid_ml.evaluation.metrics import ALL_SERIES, METRICS
from smartgrid_ml.evaluation.picture import BLUE, GREY, Bar, draw_bars
from smartgrid_ml.forecasting.registry import NAIVE_ROWS, SERVABLE


def select_newest_backtest(leaderboard: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `LoadBacktest` that were scored last."""
    return leaderboard.filter(pl.col("scored_at") == pl.col("scored_at").max())


def read_recipe(board: pl.DataFrame, *, model: str) -> Recipe | None:
    """Return what a search or a blend found for the model: the recipe of its row over all series.

    None if the model has no recipe.
    """
    texts = board.filter(pl.col("series") == ALL_SERIES, pl.col("model") == model)["recipe"]
    return None if texts[0] is None else cast(Recipe, json.loads(texts[0]))


def refuse_if_all_failed(board: pl.DataFrame) -> None:
    """Raise SmartGridError with their errors if no servable model could be scored at all."""
    servable = board.filter(pl.col("series") == ALL_SERIES, pl.col("model").is_in(SERVABLE))
    failed = servable.filter(pl.col("error").is_not_null())
    if servable.height and failed.height == servable.height:
        errors = "; ".join(
            f"{name}: {error}" for name, error in failed.select("model", "error").rows()
        )
        raise SmartGridError(f"no servable model could be scored: {errors}")


def render_leaderboard(board: pl.DataFrame) -> str:
    """Return the rows over all series as a Markdown table, the least pinball loss first."""
    overall = board.filter(pl.col("series") == ALL_SERIES).sort("pinball", "model", nulls_last=True)
    columns = ["model", *METRICS, "train_s", "predict_ms", "artifact_mb", "error"]
    rows = overall.select(columns).iter_rows()
    return render_table(columns, ([_format_cell(value) for value in row] for row in rows))


def draw_leaderboard(board: pl.DataFrame) -> str:
    """Return an SVG picture: a bar per model with its pinball loss over all series.

    The least is the first; naive rows are grey.
    """
    overall = board.filter(pl.col("series") == ALL_SERIES, pl.col("pinball").is_not_null())
    rows = overall.sort("pinball", "model").select("model", "pinball").rows()
    bars = [
        Bar(name, loss, colour=GREY if name in NAIVE_ROWS else BLUE, text=f"{loss:.4g}")
        for name, loss in rows
    ]
    return draw_bars(bars, most=max((loss for _, loss in rows), default=0.0))


def _format_cell(value: float | str | None) -> str | None:
    return f"{value:.4g}" if isinstance(value, float) else value
