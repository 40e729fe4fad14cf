"""One search under its budget: a process that is ended from outside when the budget is used up."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from smartgrid_ml.automl.memory import measure_memory_mb
from smartgrid_ml.automl.trials import Budget, OnTrial, SearchResult, Trial
from smartgrid_ml.automl.worker import write_task
from smartgrid_ml.forecasting.point import Rows
from smartgrid_ml.progress import OnProgress, SearchProgress
from smartgrid_ml.tensorflow_runtime import QUIET_AND_REPRODUCIBLE

POLL_S = 0.5
"""Between two readings of the memory: a search grows by some hundred MB per second at most."""

FIRST_TRIAL_S = 240.0
"""A search whose budget is used up before it has found a model that can be trained goes on for so
long until it has: on a busy machine the libraries alone may take longer to start than a short
budget lasts, and an engine without a model is missing on the board."""

LAST_LINES = 8
"""So many lines of what a failed search printed are part of how it ended."""

GRACE_S = 5.0
"""So long does a worker that was asked to end have to end its own children."""


def run_search(
    engine: str,
    rows: Rows,
    *,
    budget: Budget,
    seed: int = 1,
    on_trial: OnTrial = lambda *_: None,
    on_progress: OnProgress = lambda _: None,
) -> SearchResult:
    """Return everything that the engine tried within the budget; never raises for what it does.

    Every engine gets its first usable trial, FIRST_TRIAL_S after its budget at the latest. The
    search runs in a process of its own, with all that this starts ended at its end. Ctrl-C
    ends the search, not the caller: what was found so far is kept.

    Args:
        engine: one of ENGINES, or the path of a Python file with `search` and `train`.
        rows: what is learned from.
        budget: wall time, memory and trials that it may use; the process's imports count.
        seed: of everything that the engine draws.
        on_trial: called with the engine's name and every trial as soon as it has ended.
        on_progress: called at the start, after every trial (before `on_trial`) and at the end.

    Returns:
        The trials in the order in which they ended, and how the search ended.
    """
    result = SearchResult(engine)
    printed: deque[str] = deque(maxlen=LAST_LINES)
    ends = time.monotonic() + budget.seconds
    recorder = _Recorder(
        result,
        budget=budget,
        on_trial=on_trial,
        on_progress=on_progress,
        printed=printed,
        ends=ends,
    )
    recorder.report_progress()
    with tempfile.TemporaryDirectory(prefix=f"smartgrid-{Path(engine).stem}-") as place:
        folder = Path(place)
        write_task(folder, rows, budget=budget, seed=seed, engine=engine)
        with _start_worker(folder, printed) as worker:
            try:
                result.ended = _collect_trials(worker, recorder)
            except KeyboardInterrupt:
                result.ended = "interrupted"
        for line in worker.drain_lines():  # written before the end, but not recorded yet
            recorder.record_line(line)
    recorder.report_progress(ended=result.ended)
    return result


@dataclass(frozen=True, slots=True)
class _Recorder:
    """Keeps the trials that a worker writes, as many as the budget allows."""

    result: SearchResult
    budget: Budget
    on_trial: OnTrial
    on_progress: OnProgress
    printed: deque[str]
    """The last lines that are no message of a worker."""
    ends: float
    """When the budget is used up, monotonic time, seconds."""

    def report_progress(self, *, ended: str | None = None) -> None:
        """Report how far the search is; `ended` says how it ended, if it has."""
        best = self.result.best
        self.on_progress(
            SearchProgress(
                self.result.engine,
                trials=len(self.result.trials),
                best=None if best is None else best.score,
                left_s=round(self.ends - time.monotonic(), 1),
                ended=ended,
            )
        )

    def record_line(self, line: str) -> str | None:
        """Keep the trial that a line holds; return how the search ended if this was its last."""
        try:
            message: dict[str, Any] = json.loads(line)
            ended, fields = message.get("ended"), message.get("trial")
            trial = None if fields is None else Trial(**fields)
        except (ValueError, AttributeError, TypeError):
            # not ours: printed before the worker took standard output over
            self.printed.append(line.strip())
            return None
        if ended is not None:
            return str(ended)
        trials, most = self.result.trials, self.budget.trials
        if trial is not None and (most is None or len(trials) < most):
            trials.append(trial)
            self.report_progress()
            self.on_trial(self.result.engine, trial)
            if len(trials) == most:
                return "all trials used"
        return None


class _Worker:
    """The process, the messages that it writes, and the last lines that it prints beside them."""

    def __init__(self, folder: Path, printed: deque[str]) -> None:
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
        self.lines: queue.Queue[str | None] = queue.Queue()
        self._printed = printed
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def measure_memory_mb(self) -> float:
        """Return what the process and all below it hold now, MB."""
        return measure_memory_mb(self.process.pid, with_children=True)

    def drain_lines(self) -> Iterator[str]:
        """Yield the lines that nobody has taken yet, of a process that has ended."""
        with contextlib.suppress(queue.Empty):
            while True:
                if (line := self.lines.get_nowait()) is not None:
                    yield line

    def describe_failure(self) -> str:
        """Return how it ended before it should, and the last lines that it printed."""
        code = self.process.wait()
        self._readers[1].join(POLL_S)
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return f"failed ({how}): {' | '.join(self._printed) or 'it said nothing'}"

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
        for descendant in family:
            with contextlib.suppress(psutil.Error):
                descendant.kill()
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
            self.lines.put(line)
        self.lines.put(None)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - it was asked for above
        for line in self.process.stderr:
            if line.strip():
                self._printed.append(line.strip())


@contextlib.contextmanager
def _start_worker(folder: Path, printed: deque[str]) -> Iterator[_Worker]:
    """Yield the worker of the task in a folder; end it with all that it started afterwards."""
    worker = _Worker(folder, printed)
    try:
        yield worker
    finally:
        worker.end()


def _collect_trials(worker: _Worker, recorder: _Recorder) -> str:
    """Record trials until the search ends or has used its budget; return how it ended."""
    budget = recorder.budget
    while True:
        left_s = recorder.ends - time.monotonic()
        if left_s <= 0 and recorder.result.best is not None:
            return "budget used"
        if left_s <= -FIRST_TRIAL_S:
            return f"no model in {budget.seconds + FIRST_TRIAL_S:.0f} s"
        if (memory_mb := worker.measure_memory_mb()) > budget.memory_mb:
            return f"out of memory: {memory_mb:,.0f} MB of {budget.memory_mb:,} MB allowed"
        try:
            line = worker.lines.get(timeout=min(POLL_S, left_s) if left_s > 0 else POLL_S)
        except queue.Empty:
            # What it forked may live on and hold the pipe open.
            if worker.process.poll() is None:
                continue
            line = None
        if line is None:
            return worker.describe_failure()
        ended = recorder.record_line(line)
        if ended is not None:
            return ended
