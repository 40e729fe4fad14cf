"""Frequent itemsets of transactions, by Apriori and by FP-Growth, on mlxtend.

Both take the same sparse one-hot matrix and give the same frame. mlxtend's own FP-Growth builds a
conditional tree for every longest itemset that it then does not look into, puts every path in by
itself and takes a dense copy of the input; here its tree is filled from the sparse rows, each
distinct row once, and walked no deeper than asked for.
"""

import gc
import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Key = TypeVar("Key", bound=Hashable)

Algorithm = Literal["apriori", "fpgrowth"]

ITEMSET_SCHEMA = pl.Schema({"items": pl.List(pl.String()), "transactions": pl.Int64()})


@dataclass(frozen=True)
class Transactions:
    """Sparse one-hot transactions: `matrix`, bool, (n_transactions, n_items), in order of time.

    `cells`: where each stands in the calendar, day and slot of the day, int, (n_transactions, 2).
    """

    items: tuple[str, ...]
    matrix: "csr_array"
    cells: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def having(self, items: Collection[str]) -> NDArray[np.bool_]:
        """Which transactions hold all of the items, (n_transactions,); none an unknown item."""
        if not set(items) <= set(self.items):
            return np.zeros(len(self), dtype=np.bool_)
        numbers = [self.items.index(item) for item in items]
        counts = self.matrix[:, numbers].sum(axis=1)
        return cast("NDArray[np.bool_]", np.asarray(counts).ravel() == len(numbers))

    def by_day(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """One mark per transaction, laid out by calendar, (n_days, n_slots)."""
        days, slots = (self.cells.max(axis=0) + 1).tolist() if len(self) else (0, 0)
        laid = np.zeros((days, slots), dtype=np.bool_)
        laid[tuple(self.cells[marks].T)] = True
        return laid


def build_transactions(events: pl.DataFrame, *, timezone: ZoneInfo) -> Transactions:
    """One feeder's rows of `GridEvents` as transactions, one per `hour_start`; items by name.

    A slot is a local hour of the day that some transaction has; the hours that autumn repeats share
    one.
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
    """The smallest count whose share is at least `min_support`, as Apriori compares it.

    A rounded-up product can be one too many: 0.07 of 100 is 7.000000000000001.
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
    """Itemsets of up to `max_items` items in at least `min_support` of the transactions.

    One row per itemset: items (names in order), transactions (how many hold it), by length and
    items. No transactions, no itemsets. Raises ValueError for a support outside (0, 1] or fewer
    items than one.
    """
    if not 0 < min_support <= 1:
        raise ValueError(f"min_support lies in (0, 1], got {min_support}")
    if max_items < 1:
        raise ValueError(f"an itemset has at least one item, got max_items {max_items}")
    if not len(transactions) or not transactions.items:
        return pl.DataFrame(schema=ITEMSET_SCHEMA)
    mine = _run_apriori if algorithm == "apriori" else _run_fp_growth
    found = [
        (sorted(transactions.items[number] for number in numbers), count)
        for numbers, count in mine(transactions, min_support=min_support, max_items=max_items)
    ]
    found.sort(key=lambda itemset: (len(itemset[0]), itemset[0]))
    return pl.DataFrame(found, schema=ITEMSET_SCHEMA, orient="row")


def _run_apriori(
    transactions: Transactions, *, min_support: float, max_items: int
) -> Iterator[tuple[Sequence[int], int]]:
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
    """FP-Growth (Han, Pei, Yin, Mining frequent patterns without candidate generation, 2000)."""
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
    with _pause_garbage_collection():
        found = list(_walk_tree(_build_tree(distinct, []), least=least, max_items=max_items))
    for numbers, count in found:
        yield order[numbers].tolist(), count


def _walk_tree(tree: Any, *, least: int, max_items: int) -> Iterator[tuple[list[int], int]]:
    """Every frequent itemset of a tree that holds frequent items only."""
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


def _count_frequent(seen: Iterable[tuple[Key, int]], *, least: int) -> dict[Key, int]:
    """Counts of what was seen often enough."""
    counts: Counter[Key] = Counter()
    for what, count in seen:
        counts[what] += count
    return {what: count for what, count in counts.items() if count >= least}


def _build_tree(paths: Mapping[tuple[int, ...], int], known: list[int]) -> Any:
    """The tree of mlxtend over transactions, each distinct one with its count."""
    from mlxtend.frequent_patterns.fpcommon import FPTree

    tree = FPTree()
    for path, count in paths.items():
        tree.insert_itemset(list(path), count)
    tree.cond_items = known
    return tree


@contextmanager
def _pause_garbage_collection() -> Iterator[None]:
    """Pauses the collector of cyclic garbage, which looks through a growing tree for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
