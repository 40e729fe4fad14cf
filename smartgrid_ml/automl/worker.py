"""The process in which one search runs: it reads rows and writes a line of JSON per trial.

Libraries that search print, thread, leak and die as they please; here they harm only themselves.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from smartgrid_ml.automl.engine import load_engine
from smartgrid_ml.automl.trials import Budget, Trial
from smartgrid_ml.forecasting.point import Rows

ROWS_FILE = "rows.npz"
TASK_FILE = "task.json"

POLL_S = 0.5
"""Between two looks whether the parent still lives."""


def write_task(folder: Path, rows: Rows, *, budget: Budget, seed: int, engine: str) -> None:
    """Write what a worker shall do into a folder.

    Args:
        folder: an empty folder, in which the worker will run.
        rows: what is learned from.
        budget: what the search may use.
        seed: of everything that the engine draws.
        engine: one of ENGINES, or the path of a Python file with `search` and `train`.
    """
    np.savez(
        folder / ROWS_FILE,
        names=np.array(rows.names),
        inputs=rows.inputs,
        target=rows.target,
        size=rows.size,
        issue=rows.issue,
        known=rows.issue + 1 if rows.known is None else rows.known,
    )
    task = {
        "engine": engine,
        "seed": seed,
        "budget": asdict(budget),
        "parent": os.getpid(),
    }
    (folder / TASK_FILE).write_text(json.dumps(task))


def main(folder: Path) -> None:
    """Run the task in a folder; messages go to standard output, what libraries print to error."""
    # Whatever a library prints, also from C, must not mix with the messages to the parent.
    messages = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Asked to end, it leaves the servers that it used as they were.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    task = json.loads((folder / TASK_FILE).read_text())
    threading.Thread(target=_stop_with_parent, args=(task["parent"],), daemon=True).start()
    search_engine = load_engine(task["engine"])
    os.chdir(folder)
    rows = _read_rows(folder / ROWS_FILE)

    one_at_a_time = threading.Lock()

    def report(trial: Trial) -> None:
        line = json.dumps({"trial": _to_plain(trial)}, default=_to_readable)
        with one_at_a_time:
            print(line, file=messages, flush=True)

    budget = Budget(**task["budget"])
    search_engine.search(rows, budget=budget, seed=task["seed"], report=report)
    print(json.dumps({"ended": "finished"}), file=messages, flush=True)


def _read_rows(file: Path) -> Rows:
    """Return the rows that `write_task` wrote."""
    with np.load(file) as arrays:
        return Rows(
            [str(name) for name in arrays["names"]],
            arrays["inputs"],
            arrays["target"],
            arrays["size"],
            arrays["issue"],
            arrays["known"],
        )


def _stop_with_parent(parent: int) -> None:
    """End this process and all below it when the parent is gone: nobody waits for it any more."""
    while os.getppid() == parent:
        time.sleep(POLL_S)
    for descendant in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            descendant.kill()
    os.killpg(0, signal.SIGKILL)


def _to_plain(trial: Trial) -> dict[str, Any]:
    """Return the trial as plain JSON; a recipe that is none is left out, with an error instead.

    A recipe with "<object at 0x7f...>" in it could be written down and never trained again.
    """
    try:
        recipe = json.loads(json.dumps(trial.recipe, default=_to_number))
    except TypeError as error:
        recipe, trial = None, replace(trial, error=f"its recipe is no plain JSON: {error}")
    return {**trial.to_json(), "recipe": recipe}


def _to_number(value: Any) -> Any:
    """Return a NumPy number as Python's. Raises TypeError for anything else."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} in it")


def _to_readable(value: Any) -> Any:
    """Return a NumPy number as Python's and anything else as text: parameters are for people."""
    return value.item() if isinstance(value, np.generic) else str(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
