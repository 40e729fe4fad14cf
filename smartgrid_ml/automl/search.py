"""One search under its budget: started, listened to, and ended from outside when it is used up."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from smartgrid_ml.automl.trials import Budget, OnTrial, SearchResult, Trial
from smartgrid_ml.automl.worker import write_task
from smartgrid_ml.forecasting.point import Rows
from smartgrid_ml.tensorflow_runtime import QUIET_AND_REPRODUCIBLE

POLL_S = 0.5
"""Memory is read so often: a search grows by some hundred MB per second at most."""

LAST_LINES = 8
"""Of what a failed search printed, so much is told."""

GRACE_S = 5.0
"""A worker that was asked to end gets so long to end its own children."""


def run_search(
    engine: str,
    rows: Rows,
    *,
    budget: Budget,
    seed: int = 1,
    on_trial: OnTrial = lambda *_: None,
) -> SearchResult:
    """Everything that the engine tried within the budget; never raises for what it does.

    `engine` is one of ENGINES, or the path of a Python file that is one.

    The search runs in a process of its own, with all that this starts ended at its end. Ctrl-C
    ends the search, not the caller: what was found so far is kept.
    """
    found = SearchResult(engine)
    with tempfile.TemporaryDirectory(prefix=f"smartgrid-{Path(engine).stem}-") as place:
        folder = Path(place)
        write_task(folder, rows, budget=budget, seed=seed, engine=engine)
        with _start_worker(folder) as worker:
            try:
                found.ended = _collect_trials(worker, found, budget=budget, on_trial=on_trial)
            except KeyboardInterrupt:
                found.ended = "interrupted"
        for line in worker.drain_lines():  # said before the end, but not taken down yet
            _record_line(line, worker, found, budget=budget, on_trial=on_trial)
    return found


class _Worker:
    """The process, the lines that it says, and the last that it printed beside them."""

    def __init__(self, folder: Path) -> None:
        self.started = time.monotonic()
        environment = {
            **QUIET_AND_REPRODUCIBLE,
            **os.environ,
            "PYTHONHASHSEED": "1",
            "TMPDIR": str(folder),
        }
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "smartgrid_ml.automl.worker", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",  # a reader that dies of a byte would block the worker
            env=environment,
            start_new_session=True,  # Ctrl-C of a terminal is ours to pass on
        )
        self.said: queue.Queue[str | None] = queue.Queue()
        self.noise: deque[str] = deque(maxlen=LAST_LINES)
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def memory_mb(self) -> float:
        """What the process and all below it hold now."""
        total = 0.0
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(self.process.pid)
            for one in [parent, *parent.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += one.memory_info().rss
        return total / 1e6

    def drain_lines(self) -> Iterator[str]:
        """The lines that nobody has taken from `said`, of a process that was ended."""
        with contextlib.suppress(queue.Empty):
            while True:
                if (line := self.said.get_nowait()) is not None:
                    yield line

    def failure(self) -> str:
        """How it ended before it should, and its last words."""
        code = self.process.wait()
        self._readers[1].join(POLL_S)
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return f"failed ({how}): {' | '.join(self.noise) or 'it said nothing'}"

    def end(self) -> None:
        """End it and everything that it started."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(self.process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.kill()
        self.process.wait()
        for reader, pipe in zip(
            self._readers, (self.process.stdout, self.process.stderr), strict=True
        ):
            reader.join(GRACE_S)
            if pipe is not None and not reader.is_alive():
                pipe.close()

    def _read_lines(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - it was asked for above
        for line in self.process.stdout:
            self.said.put(line)
        self.said.put(None)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - it was asked for above
        for line in self.process.stderr:
            if line.strip():
                self.noise.append(line.strip())


@contextlib.contextmanager
def _start_worker(folder: Path) -> Iterator[_Worker]:
    worker = _Worker(folder)
    try:
        yield worker
    finally:
        worker.end()


def _collect_trials(
    worker: _Worker, found: SearchResult, *, budget: Budget, on_trial: OnTrial
) -> str:
    """Take trials down until the search ends or has used its budget; say how it ended."""
    deadline = worker.started + budget.seconds
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return "budget used"
        if (held := worker.memory_mb()) > budget.memory_mb:
            return f"out of memory: {held:,.0f} MB of {budget.memory_mb:,} MB allowed"
        try:
            line = worker.said.get(timeout=min(POLL_S, left))
        except queue.Empty:
            # What it forked may live on and hold the pipe open.
            if worker.process.poll() is None:
                continue
            line = None
        if line is None:
            return worker.failure()
        ended = _record_line(line, worker, found, budget=budget, on_trial=on_trial)
        if ended is not None:
            return ended


def _record_line(
    line: str, worker: _Worker, found: SearchResult, *, budget: Budget, on_trial: OnTrial
) -> str | None:
    """Keep the trial that a line tells of; say how the search ended if this was its last."""
    try:
        message: dict[str, Any] = json.loads(line)
        ended, given = message.get("ended"), message.get("trial")
        trial = None if given is None else Trial(**given)
    except (ValueError, AttributeError, TypeError):
        worker.noise.append(line.strip())  # not ours: printed before we took standard output over
        return None
    if ended is not None:
        return str(ended)
    if trial is not None and (budget.trials is None or len(found.trials) < budget.trials):
        found.trials.append(trial)
        on_trial(found.engine, trial)
        if len(found.trials) == budget.trials:
            return "all trials used"
    return None
