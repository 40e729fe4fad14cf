"""The process in which one search runs: rows in, a line of JSON out for every trial.

Libraries that search print, thread, leak and die as they please; here they harm only themselves.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from smartgrid_ml.automl.engine import engine
from smartgrid_ml.automl.trials import Budget, Trial
from smartgrid_ml.forecasting.point import Rows

ROWS = "rows.npz"
TASK = "task.json"


def write_task(folder: Path, rows: Rows, *, budget: Budget, seed: int, engine: str) -> None:
    """Put down what a worker shall do."""
    np.savez(
        folder / ROWS,
        names=np.array(rows.names),
        inputs=rows.inputs,
        target=rows.target,
        size=rows.size,
        issue=rows.issue,
    )
    task = {"engine": engine, "seed": seed, "budget": _fields(budget)}
    (folder / TASK).write_text(json.dumps(task))


def main(folder: Path) -> None:
    """Run the search that `write_task` put down; trials go to standard output, noise to error."""
    # Whatever a library prints, also from C, must not mix with what is said to the parent.
    said = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.chdir(folder)
    task = json.loads((folder / TASK).read_text())
    with np.load(folder / ROWS) as held:
        rows = Rows(
            [str(name) for name in held["names"]],
            held["inputs"],
            held["target"],
            held["size"],
            held["issue"],
        )

    def report(trial: Trial) -> None:
        print(json.dumps({"trial": trial.to_json()}, default=_plain), file=said, flush=True)

    budget = Budget(**task["budget"])
    engine(task["engine"]).search(rows, budget=budget, seed=task["seed"], report=report)
    print(json.dumps({"ended": "finished"}), file=said, flush=True)


def _die_with_parent() -> None:
    """Standard input ends when the parent does: then nobody waits for what is found here."""
    # Not through sys.stdin: its lock, held by this thread, aborts an interpreter that ends.
    while os.read(0, 4096):
        continue
    os.killpg(0, signal.SIGKILL)


def _fields(budget: Budget) -> dict[str, Any]:
    return {
        "seconds": budget.seconds,
        "trials": budget.trials,
        "memory_mb": budget.memory_mb,
    }


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
