"""FP-Growth on 100,000 transactions of 60 items against mlxtend's own: time, memory, itemsets.

Each runs in a process of its own, so that peak memory is its own, and mlxtend's twice: on the dense
and on the sparse frame that it takes; the faster one is the reference. Transactions are made up:
items of 2 to 15 % by chance, and some that come together. Prints seconds of processor time, which
others on the machine do not lengthen, the ratio and memory; ends with 1 if ours is slower or finds
anything else. `--transactions` makes it smaller.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
from measuring import peak_bytes
from numpy.typing import NDArray
from scipy.sparse import csr_array

ITEMS = 60
MIN_SUPPORT, MAX_ITEMS = 0.01, 3
CONTENDERS = ("ours", "mlxtend dense", "mlxtend sparse", "apriori")

Itemsets = dict[frozenset[int], int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--only", choices=CONTENDERS, help="run one, print its figures as JSON")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, generate_transactions(arguments.transactions))))
        return 0
    figures = {name: measure_in_process(name, arguments.transactions) for name in CONTENDERS}
    for name, (seconds, memory, itemsets, _) in figures.items():
        print(
            f"{name}: {seconds:.2f} s, {memory:,.0f} MB more than the data, {itemsets:,} itemsets"
        )
    bare = min(figures["mlxtend dense"][0], figures["mlxtend sparse"][0])
    ratio = figures["ours"][0] / bare
    is_equal = len({fingerprint for *_, fingerprint in figures.values()}) == 1
    print(
        f"{arguments.transactions:,} transactions x {ITEMS} items, support {MIN_SUPPORT}, up to"
        f" {MAX_ITEMS} items: ratio to bare mlxtend {ratio:.2f} (bound 1.00);"
        f" itemsets {'are equal' if is_equal else 'DIFFER'}"
    )
    return int(ratio > 1 or not is_equal)


def measure_in_process(name: str, transactions: int) -> tuple[float, float, int, str]:
    command = [sys.executable, __file__, "--only", name, "--transactions", str(transactions)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory, itemsets, fingerprint = json.loads(run.stdout.splitlines()[-1])
    return seconds, memory, itemsets, fingerprint


def generate_transactions(transactions: int) -> NDArray[np.bool_]:
    """Return which transaction holds which item, bool (transactions, ITEMS)."""
    random = np.random.default_rng(11)
    marks = random.random((transactions, ITEMS)) < random.uniform(0.02, 0.15, ITEMS)
    for _ in range(10):
        together = random.choice(ITEMS, size=4, replace=False)
        rows = np.flatnonzero(random.random(transactions) < 0.02)
        marks[np.ix_(rows, together)] = True
    return marks


def measure(name: str, marks: NDArray[np.bool_]) -> tuple[float, float, int, str]:
    """Return seconds, MB over what stood before, itemsets, and a hash of them with their counts.

    The input of each is ready before the clock starts: a frame for mlxtend, sparse rows for ours.
    """
    import mlxtend.frequent_patterns as theirs

    from smartgrid_ml.mining.rules.itemsets import Transactions, find_frequent_itemsets

    names = [f"i{number:02}" for number in range(ITEMS)]
    if name in ("ours", "apriori"):
        cells = np.column_stack([np.arange(len(marks)), np.zeros(len(marks), dtype=np.int64)])
        transactions = Transactions(tuple(names), csr_array(marks), cells)
    elif name == "mlxtend dense":
        frame = pd.DataFrame(marks, columns=names)
    else:
        frame = pd.DataFrame(
            {
                item: pd.arrays.SparseArray(marks[:, number], fill_value=False)
                for number, item in enumerate(names)
            }
        )
    stood, began = peak_bytes() / 1e6, time.process_time()
    if name in ("ours", "apriori"):
        found = find_frequent_itemsets(
            transactions,
            min_support=MIN_SUPPORT,
            max_items=MAX_ITEMS,
            algorithm="fpgrowth" if name == "ours" else "apriori",
        )
        seconds = time.process_time() - began
        counts = {tuple(items): count for items, count in found.iter_rows()}
    else:
        table = theirs.fpgrowth(
            frame, min_support=MIN_SUPPORT, max_len=MAX_ITEMS, use_colnames=True
        )
        seconds = time.process_time() - began
        counts = {
            tuple(sorted(items)): round(support * len(marks))
            for support, items in table.itertuples(index=False)
        }
    memory = peak_bytes() / 1e6 - stood
    text = json.dumps(sorted(counts.items())).encode()
    return seconds, memory, len(counts), hashlib.sha256(text).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
