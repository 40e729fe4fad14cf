"""What a backtest looks like."""

import polars as pl

from smartgrid_ml.evaluation.report import draw_error_by_series


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
