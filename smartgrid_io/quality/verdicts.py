"""How rows do in their suite, judged with Polars as Great Expectations would judge them.

The same definitions give the same verdicts there; a test holds both against each other for every
suite. Great Expectations itself takes seconds to import and to judge, so it is left to the pages
that people read (`pages.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from smartgrid_core.quality import Violation, describe_row
from smartgrid_io.quality.suites import Expectation, Suite

EXAMPLES = 5
"""Rows that a finding names: enough to know where to look."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one expectation.

    Attributes:
        met: Whether it is met.
        observed: A figure of the whole table; None where single rows are judged.
        unexpected_percent: Share of the judged rows that are not as expected, %.
    """

    met: bool
    observed: float | None = None
    unexpected_percent: float = 0.0


def judge_rows(suite: Suite, figures: pl.DataFrame) -> list[tuple[int, Violation]]:
    """Return the expectations that are not met, each with its place in the suite, from 0."""
    found = []
    for place, expectation in enumerate(suite.expectations()):
        verdict = judge_expectation(expectation, figures)
        if not verdict.met:
            violation = _to_violation(expectation, verdict, figures, named_by=suite.named_by)
            found.append((place, violation))
    return found


def judge_expectation(expectation: Expectation, figures: pl.DataFrame) -> Verdict:
    """Return what becomes of an expectation. Raises ValueError for one of an unknown type."""
    judge = _JUDGES.get(expectation.type)
    if judge is None:
        raise ValueError(
            f"nobody here judges {expectation.type}: add it to smartgrid_io/quality/verdicts.py"
        )
    return judge(figures, expectation.kwargs)


def _judge_between(figures: pl.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    values = _drop_missing(figures[kwargs["column"]])
    outside = values.to_frame().filter(_is_outside(kwargs)).height
    return _judge_share(outside, of=values.len(), mostly=kwargs.get("mostly", 1.0))


def _judge_not_null(figures: pl.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    values = figures[kwargs["column"]]
    return _judge_share(values.len() - _drop_missing(values).len(), of=values.len(), mostly=1.0)


def _judge_unique(figures: pl.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    keys = figures.select(kwargs["column_list"])
    keys = keys.filter(~pl.all_horizontal(pl.all().is_null()))
    return _judge_share(int(keys.is_duplicated().sum()), of=keys.height, mostly=1.0)


def _judge_row_count(figures: pl.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    return Verdict(figures.height >= kwargs["min_value"], observed=figures.height)


def _judge_mean(figures: pl.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    values = _drop_missing(figures[kwargs["column"]])
    mean = values.mean() if values.len() else None
    if not isinstance(mean, float):
        return Verdict(met=False, observed=None)
    return Verdict(mean <= kwargs["max_value"], observed=mean)


_JUDGES: Mapping[str, Callable[[pl.DataFrame, Mapping[str, Any]], Verdict]] = {
    "expect_column_values_to_be_between": _judge_between,
    "expect_column_values_to_not_be_null": _judge_not_null,
    "expect_compound_columns_to_be_unique": _judge_unique,
    "expect_table_row_count_to_be_between": _judge_row_count,
    "expect_column_mean_to_be_between": _judge_mean,
}


def _judge_share(unexpected: int, *, of: int, mostly: float) -> Verdict:
    """Return the verdict of an expectation that `mostly` of the judged rows have to meet."""
    if not of:
        return Verdict(met=True)
    return Verdict((of - unexpected) / of >= mostly, unexpected_percent=unexpected / of * 100)


def _drop_missing(values: pl.Series) -> pl.Series:
    """Return the values that are judged: neither null nor NaN."""
    return (values.fill_nan(None) if values.dtype.is_float() else values).drop_nulls()


def _to_violation(
    expectation: Expectation, verdict: Verdict, figures: pl.DataFrame, *, named_by: tuple[str, ...]
) -> Violation:
    """Return a failed expectation in our words, with rows that break it.

    Args:
        expectation: What was expected.
        verdict: What became of it.
        figures: The figures of the table's rows.
        named_by: The columns that name a row.
    """
    column = expectation.kwargs.get("column")
    observed = (
        f"{verdict.unexpected_percent:.3g} % of {figures.height} rows outside"
        if verdict.observed is None
        else str(verdict.observed)
    )
    condition = _find_broken(expectation)
    bad = figures.clear() if condition is None else figures.filter(condition)
    shown = list(dict.fromkeys([*named_by, *([column] if column else [])]))
    return Violation(
        expectation=f"{describe_expectation(expectation)}: {expectation.notes}",
        column=column,
        observed=observed,
        unexpected_count=bad.height,
        examples=tuple(
            describe_row(row) for row in bad.head(EXAMPLES).select(shown).iter_rows(named=True)
        )
        if condition is not None
        else (),
        severity=expectation.severity,
    )


def describe_expectation(expectation: Expectation) -> str:
    """Return what is expected, in words."""
    kwargs = expectation.kwargs
    column = kwargs.get("column")
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    mostly = kwargs.get("mostly", 1.0)
    if expectation.type == "expect_column_values_to_be_between":
        limits = [f"at least {low:g}"] if low is not None else []
        limits += [f"at most {high:g}"] if high is not None else []
        share = f" in {mostly:.1%} of rows" if mostly < 1 else ""
        return f"{column} {' and '.join(limits)}{share}"
    if expectation.type == "expect_column_values_to_not_be_null":
        return f"{column} is never null"
    if expectation.type == "expect_compound_columns_to_be_unique":
        return f"one row per ({', '.join(kwargs['column_list'])})"
    if expectation.type == "expect_table_row_count_to_be_between":
        return f"at least {low} row"
    return f"{expectation.type} {column} {low} to {high}"


def _find_broken(expectation: Expectation) -> pl.Expr | None:
    """Return the condition of the rows that break an expectation; None if no single row does."""
    kwargs = expectation.kwargs
    if expectation.type == "expect_column_values_to_be_between":
        return _is_outside(kwargs)
    if expectation.type == "expect_column_values_to_not_be_null":
        return pl.col(kwargs["column"]).is_null()
    if expectation.type == "expect_compound_columns_to_be_unique":
        return pl.struct(kwargs["column_list"]).is_duplicated()
    return None


def _is_outside(kwargs: Mapping[str, Any]) -> pl.Expr:
    """Return the condition that a column lies outside its bounds; null and NaN do not."""
    column = pl.col(kwargs["column"])
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    outside = pl.lit(value=False)
    if low is not None:
        outside |= column < low
    if high is not None:
        outside |= column > high
    return outside.fill_null(value=False) & column.cast(pl.Float64).is_not_nan()
