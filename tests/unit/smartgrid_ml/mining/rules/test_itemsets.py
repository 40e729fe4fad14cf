"""Itemsets by two algorithms on the same sparse rows."""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlxtend.frequent_patterns import fpgrowth
from scipy.sparse import csr_array

from smartgrid_ml.mining.rules.itemsets import (
    Transactions,
    build_transactions,
    compute_least_count,
    find_frequent_itemsets,
)

BASKETS = ("ab", "abc", "ac", "b", "abc")
"""Of five transactions: a 4, b 4, c 3, ab 3, ac 3, bc 2, abc 2."""


def of_matrix(matrix: np.ndarray) -> Transactions:
    rows = np.arange(len(matrix))
    items = tuple(f"i{number:02}" for number in range(matrix.shape[1]))
    return Transactions(items, csr_array(matrix), np.column_stack([rows, np.zeros_like(rows)]))


one_hot = (
    st.integers(1, 6)
    .flatmap(
        lambda width: st.lists(
            st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=40
        )
    )
    .map(lambda rows: np.array(rows, dtype=np.bool_))
)


@pytest.mark.parametrize("algorithm", ["apriori", "fpgrowth"])
def test_itemsets_are_counted_and_ordered(written, algorithm):
    found = find_frequent_itemsets(
        written(*BASKETS), min_support=0.6, max_items=3, algorithm=algorithm
    )

    assert found.rows() == [(["a"], 4), (["b"], 4), (["c"], 3), (["a", "b"], 3), (["a", "c"], 3)]


@pytest.mark.parametrize("longest", [1, 2, 3, 4])
@given(matrix=one_hot, support=st.sampled_from([0.01, 0.07, 0.1, 0.25, 0.5, 1.0]))
def test_both_algorithms_find_the_same_as_counting_every_combination(longest, matrix, support):
    transactions = of_matrix(matrix)
    expected = [
        (list(items), count)
        for length in range(1, longest + 1)
        for items in combinations(transactions.items, length)
        if (count := int(transactions.mark_holding(items).sum())) / len(matrix) >= support and count
    ]

    for algorithm in ("fpgrowth", "apriori"):
        found = find_frequent_itemsets(
            transactions, min_support=support, max_items=longest, algorithm=algorithm
        )
        assert found.rows() == expected


@given(matrix=one_hot)
def test_no_itemset_is_more_frequent_than_a_part_of_it(matrix):
    found = find_frequent_itemsets(of_matrix(matrix), min_support=0.01, max_items=4)
    count_of = {frozenset(items): count for items, count in found.iter_rows()}

    for items, count in count_of.items():
        for item in items:
            assert len(items) == 1 or count_of[items - {item}] >= count


def test_the_walk_finds_what_the_librarys_own_does():
    random = np.random.default_rng(5)
    matrix = random.random((3_000, 20)) < random.uniform(0.02, 0.4, 20)
    import pandas as pd

    theirs = fpgrowth(pd.DataFrame(matrix), min_support=0.0101, max_len=4)
    found = find_frequent_itemsets(of_matrix(matrix), min_support=0.0101, max_items=4)

    expected = {
        frozenset(f"i{number:02}" for number in items): round(support * len(matrix))
        for support, items in theirs.itertuples(index=False)
    }
    assert {frozenset(items): count for items, count in found.iter_rows()} == expected


def test_a_rounded_up_product_loses_no_itemset():
    assert compute_least_count(100, min_support=0.07) == 7
    assert compute_least_count(700, min_support=0.01) == 7
    assert compute_least_count(3, min_support=0.5) == 2


def test_nothing_to_mine_gives_nothing(written):
    nothing = build_transactions(
        pl.DataFrame(
            schema={"hour_start": pl.Datetime("us", "UTC"), "item": pl.String},
        ),
        timezone=ZoneInfo("UTC"),
    )

    assert find_frequent_itemsets(nothing, min_support=0.5, max_items=2).is_empty()


@pytest.mark.parametrize(("support", "longest"), [(0.0, 2), (1.1, 2), (0.5, 0)])
def test_a_limit_that_makes_no_sense_is_refused(written, support, longest):
    with pytest.raises(ValueError, match=r"min_support|max_items"):
        find_frequent_itemsets(written("ab"), min_support=support, max_items=longest)


def test_transactions_stand_at_their_local_day_and_hour():
    # Tirane changes to winter time on 25 October 2026 at 3:00: 2:00 comes twice.
    hours = [datetime(2026, 10, 24, 22, tzinfo=UTC) + timedelta(hours=n) for n in range(26)]
    events = pl.DataFrame({"hour_start": hours, "item": "a"}).with_columns(
        pl.col("hour_start").dt.cast_time_unit("us")
    )
    transactions = build_transactions(events, timezone=ZoneInfo("Europe/Tirane"))

    assert transactions.cells[:5].tolist() == [[0, 0], [0, 1], [0, 2], [0, 2], [0, 3]]
    assert transactions.cells[-1].tolist() == [1, 0]
    laid = transactions.mark_by_day(transactions.mark_holding(["a"]))
    assert laid.shape == (2, 24)
    assert laid.sum() == 25
