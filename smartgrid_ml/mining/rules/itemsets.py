"""Frequent itemsets of transactions, by Apriori and by FP-Growth, on mlxtend.

Both take the same sparse one-hot matrix and give the same frame. mlxtend's own FP-Growth builds a
conditional tree for every longest itemset that it then does not look into, puts every path in by
itself and takes a dense copy of the input; here its tree is filled from the sparse rows, each
distinct row once, and walked no deeper than needed.
"""

import gc
import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from smartgrid_core.arrays import I64, Bool

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Key = TypeVar("Key", bound=Hashable)

Algorithm = Literal["apriori", "fpgrowth"]

ITEMSET_SCHEMA = pl.Schema({"items": pl.List(pl.String()), "transactions": pl.Int64()})
"""An itemset's items in alphabetical order, and how many transactions hold it."""


@dataclass(frozen=True)
class Transactions:
    """Sparse one-hot transactions, in order of time."""

    items: tuple[str, ...]
    """Names of the columns, (n_items,)."""
    matrix: "csr_array"
    """Which transaction holds which item, bool (n_transactions, n_items)."""
    cells: I64
    """Where each stands in the calendar: day and slot of the day, (n_transactions, 2)."""

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def mark_holding(self, items: Collection[str]) -> Bool:
        """Return which transactions hold all of the items, (n_transactions,).

        None of them holds an item that is not in `items`.
        """
        if not set(items) <= set(self.items):
            return np.zeros(len(self), dtype=np.bool_)
        numbers = [self.items.index(item) for item in items]
        counts = self.matrix[:, numbers].sum(axis=1)
        is_full: Bool = np.asarray(counts).ravel() == len(numbers)
        return is_full

    def mark_by_day(self, marks: Bool) -> Bool:
        """Return marks, one per transaction, laid out by calendar, (n_days, n_slots)."""
        days, slots = (self.cells.max(axis=0) + 1).tolist() if len(self) else (0, 0)
        laid = np.zeros((days, slots), dtype=np.bool_)
        laid[tuple(self.cells[marks].T)] = True
        return laid


def build_transactions(events: pl.DataFrame, *, timezone: ZoneInfo) -> Transactions:
    """Return transactions of one feeder, one per `hour_start`; items by name.

    ``events``: rows of `GridEvents` of the feeder, in any order. A slot is a local hour of the day
    that some transaction has; the hours that autumn repeats share one.
    """
    from scipy.sparse import csr_array

    local = pl.col("hour_start").dt.convert_time_zone(str(timezone))
    day = local.dt.date().cast(pl.Int64)
    hours = (
        events.select(pl.col("hour_start").unique().sort())
        .with_row_index("row")
        .with_columns(day=day - day.min(), slot=local.dt.hour().rank("dense") - 1)
    )
    items = sorted(events["item"].unique())
    numbers = pl.DataFrame({"item": items}, schema={"item": pl.String}).with_row_index("number")
    cells = (
        events.unique(["hour_start", "item"]).join(hours, on="hour_start").join(numbers, on="item")
    )
    one_hot = np.zeros((hours.height, len(items)), dtype=np.bool_)
    one_hot[cells["row"].to_numpy(), cells["number"].to_numpy()] = True
    where = hours.select(pl.col("day", "slot").cast(pl.Int64)).to_numpy()
    return Transactions(tuple(items), csr_array(one_hot), where)


def compute_least_count(transactions: int, *, min_support: float) -> int:
    """Return the smallest count whose share is at least `min_support`, as Apriori compares it.

    A rounded-up product can be one too many: 0.07 of 100 is 7.000000000000001.

    >>> compute_least_count(100, min_support=0.07)
    7
    """
    count = max(1, math.ceil(min_support * transactions))
    while count > 1 and (count - 1) / transactions >= min_support:
        count -= 1
    return count


def find_frequent_itemsets(
    transactions: Transactions,
    *,
    min_support: float,
    max_items: int,
    algorithm: Algorithm = "fpgrowth",
) -> pl.DataFrame:
    """Return the itemsets that many transactions hold: ITEMSET_SCHEMA, by length and items.

    Args:
        transactions: Those of one feeder; none have no itemsets.
        min_support: Smallest share of the transactions that hold an itemset.
        max_items: Largest number of items of an itemset.
        algorithm: Both find the same.

    Raises:
        ValueError: `min_support` lies outside of (0, 1], or `max_items` is less than 1.
    """
    if not 0 < min_support <= 1:
        raise ValueError(f"min_support lies in (0, 1], got {min_support}")
    if max_items < 1:
        raise ValueError(f"an itemset has at least one item, got max_items {max_items}")
    if not len(transactions) or not transactions.items:
        return pl.DataFrame(schema=ITEMSET_SCHEMA)
    mine = _run_apriori if algorithm == "apriori" else _run_fp_growth
    itemsets = [
        (sorted(transactions.items[number] for number in numbers), count)
        for numbers, count in mine(transactions, min_support=min_support, max_items=max_items)
    ]
    itemsets.sort(key=lambda itemset: (len(itemset[0]), itemset[0]))
    return pl.DataFrame(itemsets, schema=ITEMSET_SCHEMA, orient="row")


def _run_apriori(
    transactions: Transactions, *, min_support: float, max_items: int
) -> Iterator[tuple[Sequence[int], int]]:
    """Yield itemsets, as positions, and their counts by mlxtend's Apriori."""
    import pandas as pd
    from mlxtend.frequent_patterns import apriori

    columns = transactions.matrix.tocsc()
    one_hot = pd.DataFrame(
        {
            str(number): pd.arrays.SparseArray(
                columns[:, [number]].toarray().ravel(), fill_value=False, dtype=bool
            )
            for number in range(len(transactions.items))
        }
    )
    # The names of a sparse frame have to be text; the itemsets speak of positions.
    itemsets = apriori(one_hot, min_support=min_support, max_len=max_items, low_memory=True)
    for support, numbers in zip(itemsets["support"], itemsets["itemsets"], strict=True):
        yield tuple(int(number) for number in numbers), round(support * len(transactions))


def _run_fp_growth(
    transactions: Transactions, *, min_support: float, max_items: int
) -> Iterator[tuple[Sequence[int], int]]:
    """Yield itemsets, as positions, and their counts by FP-Growth.

    J. Han, J. Pei, Y. Yin, Mining frequent patterns without candidate generation, 2000.
    """
    least = compute_least_count(len(transactions), min_support=min_support)
    counts = np.asarray(transactions.matrix.sum(axis=0, dtype=np.int64)).ravel()
    # By falling count: what most transactions share stands at the root, so that the tree is small.
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= least]
    if not len(order):
        return
    rows = transactions.matrix[:, order].tocsr()
    rows.sort_indices()
    cells = rows.indices.tolist()
    distinct = Counter(
        tuple(cells[first:behind]) for first, behind in pairwise(rows.indptr.tolist())
    )
    with _suspend_garbage_collection():
        itemsets = list(_walk_tree(_build_tree(distinct, []), least=least, max_items=max_items))
    for numbers, count in itemsets:
        yield order[numbers].tolist(), count


def _walk_tree(tree: Any, *, least: int, max_items: int) -> Iterator[tuple[list[int], int]]:
    """Yield every frequent itemset, as positions, and its count; the tree's items are frequent."""
    for item, nodes in tree.nodes.items():
        known = [*tree.cond_items, item]
        yield known, sum(node.count for node in nodes)
        if len(known) == max_items:
            continue
        paths = [(node.itempath_from_root(), node.count) for node in nodes]
        kept = _count_frequent(
            ((other, count) for path, count in paths for other in path), least=least
        )
        # Few items are frequent together with this one, and then most paths are alike.
        distinct: Counter[tuple[int, ...]] = Counter()
        for path, count in paths:
            distinct[tuple(other for other in path if other in kept)] += count
        if len(known) + 2 < max_items:
            yield from _walk_tree(_build_tree(distinct, known), least=least, max_items=max_items)
            continue
        # The longest itemsets need their counts only, no tree.
        for other, count in kept.items():
            yield [*known, other], count
        if len(known) + 2 == max_items:
            both = (
                (pair, count) for path, count in distinct.items() for pair in combinations(path, 2)
            )
            for pair, count in _count_frequent(both, least=least).items():
                yield [*known, *pair], count


def _count_frequent(counted: Iterable[tuple[Key, int]], *, least: int) -> dict[Key, int]:
    """Return the sums of counts by key, of at least `least`."""
    counts: Counter[Key] = Counter()
    for key, count in counted:
        counts[key] += count
    return {key: count for key, count in counts.items() if count >= least}


def _build_tree(paths: Mapping[tuple[int, ...], int], known: list[int]) -> Any:
    """Return mlxtend's tree over transactions, each distinct one with its count."""
    from mlxtend.frequent_patterns.fpcommon import FPTree

    tree = FPTree()
    for path, count in paths.items():
        tree.insert_itemset(list(path), count)
    tree.cond_items = known
    return tree


@contextmanager
def _suspend_garbage_collection() -> Iterator[None]:
    """Pause the collector of cyclic garbage, which looks through a growing tree for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
