"""The page of a file's anomalies."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_ml.mining.anomalies.evaluation.page import (
    LISTED_ANOMALIES,
    choose_plotted_series,
    render_detection,
    thin_rows,
)
from smartgrid_ml.mining.anomalies.evaluation.summary import summarise_detection

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def rows(values: list[float | None], *, series: str = "<a>") -> pl.DataFrame:
    times = [BEGIN + timedelta(hours=hour) for hour in range(len(values))]
    return pl.DataFrame(
        {
            "series": series,
            "time": times,
            "value": values,
            "lower": 0.0,
            "upper": 2.0,
            "label": None,
        },
        schema_overrides={"series": pl.String, "value": pl.Float64, "label": pl.Boolean},
    )


def anomalies(count: int, *, series: str = "<a>", score: float = 3.0) -> pl.DataFrame:
    listed = rows([5.0], series=series).drop("label")
    listed = pl.concat([listed] * count) if count else listed.clear()
    return listed.with_columns(
        score=pl.lit(score), kind=pl.lit("spike"), reason=pl.lit("5 & more, expected was 0 to 2")
    )


def test_the_page_tells_every_reason_and_hides_no_mark_up():
    page = render_detection(
        rows([1.0, 5.0, None]), anomalies(1), title="T", metrics={"labels": None}, facts=["x < y"]
    )
    assert "5 &amp; more, expected was 0 to 2" in page
    assert "&lt;a&gt;" in page
    assert "x &lt; y" in page
    assert "<script src" not in page


def test_of_very_many_anomalies_the_highest_are_told():
    many = anomalies(LISTED_ANOMALIES + 5)
    page = render_detection(rows([1.0] * 5), many, title="T", metrics={"labels": None})
    assert f"The {LISTED_ANOMALIES} highest of {LISTED_ANOMALIES + 5}" in page


def test_nothing_strange_is_said_as_such():
    page = render_detection(rows([1.0]), anomalies(0), title="T", metrics={"labels": None})
    assert "Nothing unusual was found" in page


def test_the_most_anomalous_series_are_plotted_first():
    both = pl.concat([rows([1.0], series="a"), rows([1.0], series="b")])
    assert choose_plotted_series(both, anomalies(1, series="b")) == ["b", "a"]


@given(st.lists(st.one_of(st.none(), st.floats(-9, 9)), min_size=1, max_size=200))
def test_a_thinned_series_keeps_its_peaks(values):
    kept = thin_rows(rows(values), parts=7)
    assert kept.height <= 14
    assert kept["value"].max() == rows(values)["value"].max()
    assert kept["value"].min() == rows(values)["value"].min()
    assert kept["time"].is_sorted()


def test_with_labels_the_page_has_their_figures_and_marks():
    labelled = rows([1.0, 5.0, 1.0, 1.0] * 3).with_columns(
        label=pl.Series([False, True, False, False] * 3)
    )
    scored = labelled.with_columns(flag=pl.col("value") > 2, score=pl.col("value"))
    metrics = summarise_detection(
        scored, step=timedelta(hours=1), shared_label=False, label="fault"
    )

    page = render_detection(labelled, anomalies(1), title="T", metrics=metrics)

    assert "<td>events found</td><td>unbroken runs of labels</td><td>3 of 3</td>" in page
    assert "<td>precision at 10</td>" in page
    assert "<td>delay, median</td><td>seconds from an event&#x27;s start</td><td>0</td>" in page
    assert "labelled" in page
