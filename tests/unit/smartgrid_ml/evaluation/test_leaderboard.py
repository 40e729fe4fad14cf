"""How a leaderboard is read."""

from datetime import UTC, datetime

import polars as pl

from smartgrid_core.contracts.forecasts import LoadBacktest
from smartgrid_ml.evaluation.leaderboard import (
    read_recipe,
    render_leaderboard,
    select_newest_backtest,
)
from smartgrid_ml.forecasting.day_ahead import choose_naive


def board(*rows: tuple[str, str, float | None, int]) -> pl.DataFrame:
    """(series, model, pinball, day of March on which it was scored)."""
    return LoadBacktest.validate(
        pl.DataFrame(
            [
                {
                    "backtest_id": f"b{day}",
                    "series": series,
                    "model": model,
                    "mae": pinball,
                    "mape": None,
                    "nmae": None,
                    "pinball": pinball,
                    "rcrps": None,
                    "coverage": 0.8,
                    "peak_nmae": None,
                    "train_s": None,
                    "predict_ms": None,
                    "artifact_mb": None,
                    "error": None if pinball else "no history",
                    "recipe": None,
                    "scored_at": datetime(2026, 3, day, tzinfo=UTC),
                }
                for series, model, pinball, day in rows
            ],
            schema_overrides={"pinball": pl.Float64, "mae": pl.Float64},
        ),
        cast=True,
    )


def test_only_the_backtest_that_was_scored_last_counts():
    rows = board(("all", "naive_24h", 1.0, 1), ("all", "naive_168h", 2.0, 2))
    assert select_newest_backtest(rows)["model"].to_list() == ["naive_168h"]
    assert choose_naive(rows) == "naive_168h"


def test_the_best_naive_row_is_the_one_with_the_least_pinball_loss_over_all_series():
    rows = board(
        ("all", "boosting", 0.5, 1),
        ("all", "naive_24h", 1.5, 1),
        ("all", "mean_4_weeks", 1.2, 1),
        ("F1", "naive_168h", 0.1, 1),
        ("all", "naive_168h", None, 1),
    )
    assert choose_naive(rows) == "mean_4_weeks"


def test_without_a_backtest_last_week_stands_in():
    assert choose_naive(LoadBacktest.create_empty()) == "naive_168h"


def test_the_table_that_people_read_ranks_by_pinball_loss_and_keeps_failures():
    rows = board(
        ("all", "naive_24h", 1.5, 1), ("all", "boosting", 0.5, 1), ("all", "keras", None, 1)
    )
    head, rule, *body = render_leaderboard(rows).splitlines()
    assert head == (
        "| model | mae | mape | nmae | pinball | rcrps | coverage | peak_nmae | train_s |"
        " predict_ms | artifact_mb | error |"
    )
    assert rule == "|" + "---|" * 12
    assert body == [
        "| boosting | 0.5 |  |  | 0.5 |  | 0.8 |  |  |  |  |  |",
        "| naive_24h | 1.5 |  |  | 1.5 |  | 0.8 |  |  |  |  |  |",
        "| keras |  |  |  |  |  | 0.8 |  |  |  |  | no history |",
    ]


def test_what_a_search_found_is_read_from_the_row_over_all_series():
    rows = board(("all", "tpot", 0.5, 1), ("all", "boosting", 0.6, 1)).with_columns(
        recipe=pl.when(pl.col("model") == "tpot").then(pl.lit('{"steps": ["Ridge"]}'))
    )
    assert read_recipe(rows, model="tpot") == {"steps": ["Ridge"]}
    assert read_recipe(rows, model="boosting") is None
