"""Polars' verdict is Great Expectations' own, for every kind of expectation and odd values too."""

import math
import warnings
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from smartgrid_io.quality.pages import _open_context, validate_figures
from smartgrid_io.quality.run import WaitingPage
from smartgrid_io.quality.suites import Expectation, get_suite
from smartgrid_io.quality.verdicts import judge_expectation

NAN, INF = math.nan, math.inf
BETWEEN = "expect_column_values_to_be_between"
EXPECTATIONS = [
    *(
        Expectation(BETWEEN, {"column": "x", "min_value": 0.0, "max_value": 1.0, "mostly": m}, "w")
        for m in (1.0, 0.75, 0.5)
    ),
    Expectation(BETWEEN, {"column": "x", "min_value": None, "max_value": 1.0, "mostly": 1.0}, "w"),
    Expectation(BETWEEN, {"column": "x", "min_value": 0.0, "max_value": None, "mostly": 1.0}, "w"),
    Expectation("expect_column_values_to_not_be_null", {"column": "x"}, "w"),
    Expectation("expect_column_values_to_not_be_null", {"column": "name"}, "w"),
    Expectation("expect_compound_columns_to_be_unique", {"column_list": ["name", "n"]}, "w"),
    Expectation("expect_table_row_count_to_be_between", {"min_value": 1}, "w"),
    Expectation("expect_column_mean_to_be_between", {"column": "x", "max_value": 0.5}, "w"),
]
VALUES = {
    "within": [0.0, 0.5, 1.0, 0.25],
    "three of four within": [0.0, 0.5, 1.0, 1.5],
    "just outside": [0.0, 0.5, 1.0, math.nextafter(1.0, 2.0)],
    "below": [-1.0, -0.5, 0.5, 0.5],
    "missing": [None, 0.5, None, 2.0],
    "not a number": [NAN, 0.5, NAN, 0.2],
    "endless": [INF, -INF, 0.5, 0.5],
    "all missing": [None, None, None, None],
    "none": [],
}


def validate(frame: pl.DataFrame, docs: Path) -> list[bool]:
    """What Great Expectations itself finds met."""
    moment = datetime.now(UTC)
    page = WaitingPage("odd", moment, moment, 1e6, ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return validate_figures(page, frame, EXPECTATIONS, _open_context(docs))


@pytest.mark.parametrize("case", VALUES)
def test_every_kind_of_expectation_is_judged_alike(case: str, tmp_path: Path):
    values = VALUES[case]
    frame = pl.DataFrame(
        {
            "x": values,
            "name": ["a", "a", None, None][: len(values)],
            "n": [1, 1, 2, 3][: len(values)],
        },
        schema={"x": pl.Float64, "name": pl.String, "n": pl.Int64},
    )
    ours = [judge_expectation(each, frame).met for each in EXPECTATIONS]
    assert ours == validate(frame, tmp_path)


def test_an_expectation_that_nobody_judges_is_refused():
    with pytest.raises(ValueError, match="nobody here judges expect_the_unexpected"):
        judge_expectation(Expectation("expect_the_unexpected", {}, ""), pl.DataFrame())


@pytest.mark.parametrize(
    "name",
    [
        *("sensor_data", "meter_readings", "sensor_aggregates"),
        *("meter_consumption", "feeder_load", "load_features"),
    ],
)
def test_every_suite_is_made_of_kinds_that_are_judged_and_no_two_are_one(name: str):
    expectations = get_suite(name, register_capacity_kwh=1e6).expectations()
    stated = [(each.type, str(each.kwargs)) for each in expectations]
    assert len(set(stated)) == len(stated)
    kinds = {each.type for each in EXPECTATIONS}
    assert {each.type for each in expectations} <= kinds
