"""What is kept of a backtest's forecasts: the losses that the gate and the drift watch pair."""

import polars as pl

from smartgrid_core.contracts.promotion import BacktestLosses
from smartgrid_core.protocols import Warehouse, WriteResult
from smartgrid_ml.evaluation.losses import compute_losses_by_issue, select_newest_backtests


def keep_losses(warehouse: Warehouse, forecasts: pl.DataFrame, board: pl.DataFrame) -> WriteResult:
    """Write the losses of a backtest beside those of the few before it, and forget older ones.

    `forecasts` are those of the backtest, `board` its rows of `LoadBacktest`.
    """
    named = board.select("backtest_id", "scored_at").head(1)
    new = BacktestLosses.validate(
        compute_losses_by_issue(forecasts, "model").join(named, how="cross"), cast=True
    )
    others = warehouse.read(BacktestLosses).filter(
        ~pl.col("backtest_id").is_in(named["backtest_id"].to_list())
    )
    columns = BacktestLosses.column_names()
    rows = select_newest_backtests(pl.concat([others.select(columns), new.select(columns)]))
    return warehouse.replace(BacktestLosses, rows)
