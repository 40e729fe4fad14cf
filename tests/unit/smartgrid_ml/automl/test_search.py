"""Every search here runs in a real process, with an engine of a few lines in a file of its own."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from smartgrid_core.errors import ConfigurationError, SmartGridError
from smartgrid_ml.automl import search
from smartgrid_ml.automl.engine import load_engine
from smartgrid_ml.automl.forecaster import AutomlForecaster, AutomlSettings
from smartgrid_ml.automl.search import run_search
from smartgrid_ml.automl.trials import Budget, SearchResult, Trial
from smartgrid_ml.forecasting.point import Rows
from smartgrid_ml.progress import SearchProgress

pytestmark = pytest.mark.slow

AMPLE = 60.0
"""Seconds of a budget that is not to be used up."""

Write = Callable[[str], str]

HEAD = """
import os, sys, time
from smartgrid_ml.automl.trials import Trial

def tried(number, score=None, **more):
    scores = () if score is None else (score, score)
    return Trial(number, {"depth": number}, scores, recipe={"depth": number}, **more)

def search(rows, *, budget, seed, report):
"""


@pytest.fixture
def an_engine(tmp_path: Path) -> Write:
    """Write an engine whose search does this; return what it is called by."""

    def write(body: str) -> str:
        file = tmp_path / "engine.py"
        file.write_text(HEAD + textwrap.indent(textwrap.dedent(body), "    "))
        return str(file)

    return write


def a_few_rows() -> Rows:
    inputs = np.arange(20.0).reshape(10, 2)
    inputs[3, 1] = np.nan
    return Rows(["a", "b"], inputs, np.arange(10.0), np.full(10, 2.0), np.arange(10))


def numbers(found: SearchResult) -> list[int]:
    return [trial.number for trial in found.trials]


def is_gone(pid: int, *, within_s: float = 5.0) -> bool:
    """Whether the process ends in time; a zombie has ended."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_search_sees_the_rows_the_budget_and_the_seed_and_tells_every_trial(an_engine: Write):
    name = an_engine("""
        given = [*rows.names, rows.inputs.tolist(), float(rows.target.sum()), seed]
        report(Trial(1, {"given": str(given)}, (2.0, 4.0), 0.5, 99.0, {"depth": 1}))
        report(Trial(2, {"budget": str(budget)}, error="too deep"))
        report(tried(3, rows.target.max()))  # a number of NumPy is a number
    """)
    reported: list[tuple[str, int]] = []
    progress: list[SearchProgress] = []

    found = run_search(
        name,
        a_few_rows(),
        budget=Budget(AMPLE),
        seed=7,
        on_trial=lambda engine, trial: reported.append((engine, trial.number)),
        on_progress=progress.append,  # type: ignore[arg-type]
    )

    given = ["a", "b", a_few_rows().inputs.tolist(), 45.0, 7]
    assert found.ended == "finished"
    assert found.trials == [
        Trial(1, {"given": str(given)}, [2.0, 4.0], 0.5, 99.0, {"depth": 1}),
        Trial(2, {"budget": str(Budget(AMPLE))}, [], error="too deep"),
        Trial(3, {"depth": 3}, [9.0, 9.0], recipe={"depth": 3}),
    ]
    assert found.best == found.trials[0]
    assert reported == [(name, 1), (name, 2), (name, 3)]
    assert [(each.trials, each.best, each.ended) for each in progress] == [
        (0, None, None),
        (1, 3.0, None),
        (2, 3.0, None),
        (3, 3.0, None),
        (3, 3.0, "finished"),
    ]
    left = [each.left_s for each in progress]
    assert pytest.approx(left[0], abs=1.0) == AMPLE
    assert left == sorted(left, reverse=True)


def test_a_recipe_that_could_not_be_written_down_is_a_failed_trial(an_engine: Write):
    name = an_engine("""
        report(Trial(1, {"depth": 1}, (1.0, 1.0), recipe={"depth": object()}))
        report(tried(2, 2.0))
    """)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE))

    assert found.trials[0].recipe is None
    assert found.trials[0].error == "its recipe is no plain JSON: object in it"
    assert found.best == found.trials[1]


def test_a_line_that_is_no_trial_of_ours_ends_nothing(an_engine: Write):
    name = an_engine("""
        report(tried(1, 1.0))
        os.write(1, b'{"trial": {"depth": 1}}\\n')
        report(tried(2, 2.0))
    """)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE))

    assert (found.ended, numbers(found)) == ("finished", [1, 2])


def test_used_up_seconds_end_a_search_and_keep_the_best_so_far(an_engine: Write):
    name = an_engine("""
        report(tried(1, 3.0))
        report(tried(2, 2.0))
        time.sleep(600)
    """)
    began = time.monotonic()

    found = run_search(name, a_few_rows(), budget=Budget(4.0))

    assert found.ended == "budget used"
    assert found.best == Trial(2, {"depth": 2}, [2.0, 2.0], recipe={"depth": 2})
    assert time.monotonic() - began < 6.0


def test_a_search_goes_on_beyond_its_seconds_until_it_has_a_model(an_engine: Write):
    name = an_engine("""
        time.sleep(1.0)
        report(Trial(1, {}, error="a failed one is none"))
        report(tried(2, 2.0))
        time.sleep(600)
    """)

    found = run_search(name, a_few_rows(), budget=Budget(0.1))

    assert (found.ended, numbers(found)) == ("budget used", [1, 2])


def test_a_search_without_a_model_is_not_waited_for_for_ever(
    an_engine: Write, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(search, "FIRST_TRIAL_S", 1.0)

    found = run_search(an_engine("time.sleep(600)"), a_few_rows(), budget=Budget(0.5))

    assert (found.ended, found.trials) == ("no model in 2 s", [])


def test_a_search_tries_no_more_than_it_may(an_engine: Write):
    name = an_engine("""
        for number in range(1, 1000):
            report(tried(number, 1.0))
    """)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE, trials=3))

    assert (found.ended, numbers(found)) == ("all trials used", [1, 2, 3])


def test_a_greedy_search_is_ended_with_the_memory_that_it_held(an_engine: Write):
    name = an_engine("""
        report(tried(1, 1.0))
        held = [bytearray(os.urandom(1000) * 1000) for _ in range(700)]
        time.sleep(600)
    """)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE, memory_mb=500))

    figure = re.fullmatch(r"out of memory: ([\d,]+) MB of 500 MB allowed", found.ended)
    assert figure is not None, found.ended
    assert int(figure[1].replace(",", "")) > 500
    assert numbers(found) == [1]


def test_memory_of_what_a_search_started_counts_and_ends_with_it(an_engine: Write, tmp_path: Path):
    child = "held = [bytearray(b'x' * 1000000) for _ in range(700)]; import time; time.sleep(600)"
    name = an_engine(f"""
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", {child!r}], start_new_session=True)
        report(Trial(child.pid, {{}}, (1.0,), recipe={{"depth": 1}}))
        child.wait()
    """)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE, memory_mb=500))

    assert found.ended.startswith("out of memory")
    assert is_gone(numbers(found)[0])


@pytest.mark.parametrize(
    ("crash", "ended"),
    [
        ("os._exit(3)", "failed (exit code 3): it said nothing"),
        ("import ctypes; ctypes.string_at(0)", "failed (killed by signal 11): it said nothing"),
        ("raise ValueError('no such gene')", "ValueError: no such gene"),
        ("import no_such_library", "No module named 'no_such_library'"),
        ("os.write(2, b'caf\\xe9\\n' * 100_000); os._exit(1)", "caf\N{REPLACEMENT CHARACTER}"),
    ],
    ids=["exit", "segfault", "exception", "import", "bytes that are no text"],
)
def test_a_crash_says_its_cause_and_keeps_what_was_found(an_engine: Write, crash: str, ended: str):
    found = run_search(
        an_engine(f"report(tried(1, 1.0))\n{crash}"), a_few_rows(), budget=Budget(AMPLE)
    )

    assert found.ended.startswith("failed (")
    assert ended in found.ended
    assert found.best is not None


def test_an_engine_that_crashed_is_noticed_though_what_it_forked_lives_on(an_engine: Write):
    name = an_engine("""
        if os.fork() == 0:
            time.sleep(600)
        os._exit(5)
    """)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE))

    assert found.ended.startswith("failed (exit code 5)")


def test_an_error_at_import_of_an_engine_ends_its_search_alone(tmp_path: Path):
    file = tmp_path / "engine.py"
    file.write_text("import no_such_library\n")

    found = run_search(str(file), a_few_rows(), budget=Budget(AMPLE))

    assert (found.trials, found.best) == ([], None)
    assert "No module named 'no_such_library'" in found.ended


def test_whatever_libraries_print_the_trials_are_understood(an_engine: Write):
    name = an_engine("""
        import subprocess
        print("progress 10 %", end="", flush=True)
        report(tried(1, 2.0))
        sys.__stdout__.write('{"trial": {"number": 99}}' + chr(10))
        os.write(1, b'{"ended": "not by me"}' + bytes([10, 0, 255]))
        subprocess.run([sys.executable, "-c", "print('{}' * 100_000)"])
        report(tried(2, 1.0))
    """)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE))

    assert (found.ended, numbers(found)) == ("finished", [1, 2])


def test_a_score_that_is_no_number_is_never_the_best(an_engine: Write):
    name = an_engine("""
        report(tried(1, float("nan")))
        report(tried(2, float("inf")))
        report(tried(3, 5.0))
        report(tried(4, float("nan")))
        report(Trial(5, {}, (1.0,)))  # without a recipe it cannot be trained again
    """)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE))

    assert numbers(found) == [1, 2, 3, 4, 5]
    assert found.best is not None
    assert found.best.number == 3
    assert SearchResult("any", [trial for trial in found.trials if trial.number != 3]).best is None


def test_ctrl_c_ends_the_search_and_keeps_the_best_so_far(an_engine: Write):
    name = an_engine("""
        report(tried(os.getpid(), 2.0))
        time.sleep(600)
    """)

    def interrupt(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    found = run_search(name, a_few_rows(), budget=Budget(AMPLE), on_trial=interrupt)

    assert found.ended == "interrupted"
    assert found.best is not None
    assert is_gone(found.best.number)


PARENT = """
import sys
sys.path.insert(0, sys.argv[2])
from test_search import a_few_rows
from smartgrid_ml.automl.search import run_search
from smartgrid_ml.automl.trials import Budget

run_search(sys.argv[1], a_few_rows(), budget=Budget(600.0),
       on_trial=lambda _, trial: print(trial.number, flush=True))
"""


def test_no_worker_outlives_a_parent_that_was_killed(an_engine: Write):
    name = an_engine("""
        import subprocess
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
        )
        report(tried(os.getpid(), 2.0))
        report(tried(child.pid, 2.0))
        time.sleep(600)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, name, Path(__file__).parent],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        worker, child = int(parent.stdout.readline()), int(parent.stdout.readline())
        assert psutil.pid_exists(worker)
        assert psutil.pid_exists(child)
        parent.kill()

    assert is_gone(worker)
    assert is_gone(child)


def test_a_search_that_found_nothing_says_why_when_it_was_to_be_trained(an_engine: Write):
    name = an_engine('report(Trial(1, {}, error="every gene was lethal"))')
    forecaster = AutomlForecaster(AutomlSettings(name, Budget(AMPLE)))

    with pytest.raises(SmartGridError, match=r"\(finished\); the last of 1 errors: every gene"):
        forecaster.prepare(a_few_rows())


def test_an_engine_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ConfigurationError, match=r"no AutoML engine 'hal9000'.*autokeras, tpot"):
        load_engine("hal9000")
