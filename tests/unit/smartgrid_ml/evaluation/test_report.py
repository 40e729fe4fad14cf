"""What a backtest looks like."""

from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_ml.evaluation.backtest import FORECAST_SCHEMA, LEADERBOARD_SCHEMA, Backtest
from smartgrid_ml.evaluation.metrics import METRICS
from smartgrid_ml.evaluation.report import draw_error_by_series, render_report

FIRST = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_chosen_model_stands_beside_the_naive_rows_series_by_series():
    board = pl.DataFrame(
        {
            "series": ["all", "F1", "F1", "all", "F1", "F1"],
            "model": ["boosting", "boosting", "naive_24h", "naive_24h", "keras", "naive_168h"],
            "nmae": [21.0, 20.0, 25.0, 26.0, 30.0, None],
        }
    )
    bars = {bar.name: (bar.x, bar.y) for bar in draw_error_by_series(board, model="boosting").data}
    assert bars == {
        "boosting": (("F1", "all"), (20.0, 21.0)),
        "naive_24h": (("F1", "all"), (25.0, 26.0)),
        "naive_168h": ((), ()),
        "mean_4_weeks": ((), ()),
        "seasonal_empirical": ((), ()),
    }


def test_the_page_shows_scores_errors_and_a_plot_per_figure_and_loads_nothing():
    leads = range(24)
    forecasts = pl.DataFrame(
        {
            "series": "F1",
            "issue_time": FIRST,
            "time": [FIRST + timedelta(hours=lead) for lead in leads],
            "lead_hours": [float(lead) for lead in leads],
            "model": "boosting",
            "p10": 1.0,
            "p50": 2.0,
            "p90": 3.0,
            "actual": 2.5,
        }
    )
    scores = dict.fromkeys(METRICS, 0.5)
    times = {"train_s": 1.0, "predict_ms": 2.0, "artifact_mb": None, "recipe": None}
    board = pl.DataFrame(
        [
            {"series": "all", "model": "boosting", **scores, **times, "error": None},
            {"series": "all", "model": "keras", **dict.fromkeys(METRICS), "error": "a < b"},
        ],
        schema=dict(LEADERBOARD_SCHEMA),
    )
    page = render_report(Backtest(board, forecasts, {}), title="T & U", facts=["one <series>"])
    assert "<title>T &amp; U</title>" in page
    assert "<li>one &lt;series&gt;</li>" in page
    assert "<td class='error' colspan='10'>a &lt; b</td>" in page
    assert "F1: the last two weeks, boosting" in page
    assert page.count("<h2>") == 1 + 3
    assert "<script src" not in page


def test_a_page_without_forecasts_has_its_table_alone():
    board = pl.DataFrame(schema=dict(LEADERBOARD_SCHEMA))
    page = render_report(Backtest(board, pl.DataFrame(schema=dict(FORECAST_SCHEMA)), {}), title="T")
    assert page.count("<h2>") == 1
