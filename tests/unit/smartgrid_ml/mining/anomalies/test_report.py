"""Anomalies as a list and as a picture."""

from datetime import UTC, datetime

import polars as pl

from smartgrid_core.time import HOUR
from smartgrid_ml.mining.anomalies.report import (
    format_top_list,
    plot_worst_anomaly,
    sort_worst_first,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def anomalies(*rows: tuple[str, float, int]) -> pl.DataFrame:
    """Rows of `Anomalies`: sensor, score and hours."""
    return pl.DataFrame(
        [
            {
                "subject_id": subject,
                "quantity": "power",
                "kind": "level_shift",
                "start_time": NOON,
                "end_time": NOON + hours * HOUR,
                "score": score,
                "reason": f"about {hours} kW",
            }
            for subject, score, hours in rows
        ]
    )


ROWS = anomalies(("b", 4.0, 1), ("a", 4.0, 1), ("c", 4.0, 9), ("d", 6.0, 1))


def test_the_strangest_come_first_then_the_longest_then_by_name():
    assert sort_worst_first(ROWS)["subject_id"].to_list() == ["d", "c", "a", "b"]


def test_a_list_names_the_worst_and_counts_the_rest():
    lines = format_top_list(ROWS, most=1).splitlines()

    assert lines[2:] == [
        "| d power | level shift | 2026-03-01 12:00Z | 6.0 | about 1 kW |",
        "",
        "and 3 more",
    ]
    assert "more" not in format_top_list(ROWS)


def test_the_picture_is_of_the_worst_anomaly_that_has_readings():
    scores = pl.DataFrame(
        {
            "subject_id": "c",
            "quantity": "power",
            "time": [NOON + hour * HOUR for hour in range(3)],
            "value": [1.0, None, 2.0],
            "lower_value": [0.0, 0.0, None],
            "upper_value": [3.0, 3.0, None],
        }
    )

    known, unknown = plot_worst_anomaly(ROWS, scores), plot_worst_anomaly(ROWS, scores.clear())

    assert known.axes[0].get_title() == "c power: level shift"
    assert known.axes[0].lines[0].get_xdata().size == 3
    assert unknown.axes[0].get_title() == "d power: level shift"
