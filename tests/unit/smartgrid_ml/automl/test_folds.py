import os
import subprocess
import sys

import numpy as np
import pytest

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.folds import draw_rows, split_inner_folds
from smartgrid_ml.automl.memory import measure_memory_mb
from smartgrid_ml.automl.trials import INNER_FOLDS, Trial
from smartgrid_ml.forecasting.point import Rows


def rows(*, issues: int) -> Rows:
    n = issues * 4
    return Rows(
        ["a"],
        np.arange(float(n))[:, np.newaxis],
        np.arange(float(n)),
        np.ones(n),
        np.repeat(np.arange(issues), 4),
    )


def test_every_engine_scores_on_later_issue_times_than_it_learns_from():
    folds = split_inner_folds(rows(issues=20), engine="any")

    assert len(folds) == INNER_FOLDS
    assert all(earlier.issue.max() < later.issue.min() for earlier, later in folds)


def test_too_few_issue_times_for_a_fold_name_the_engine():
    with pytest.raises(SmartGridError, match="H2O: the rows are of too few issue times"):
        split_inner_folds(rows(issues=1), engine="H2O")


def test_drawn_rows_keep_their_order_and_a_short_table_stays_whole():
    table = rows(issues=20)
    drawn = draw_rows(table, most=30, random=np.random.default_rng(1))

    assert len(drawn) == 30
    assert (np.diff(drawn.target) > 0).all()
    assert draw_rows(table, most=80, random=np.random.default_rng(1)) is table


def test_memory_counts_what_a_process_started_and_nothing_of_one_that_ended():
    alone = measure_memory_mb(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        together = measure_memory_mb(with_children=True)
        child.communicate(b"\n")

    assert together > alone > 1
    assert measure_memory_mb(child.pid) == 0.0


@pytest.mark.parametrize(
    ("trial", "line"),
    [
        (Trial(1, {"depth": 3}, [2.0]), "tpot trial 1: MAE 2 in 0.0 s; depth=3"),
        (Trial(2, {}, error="too deep\nmore"), "tpot trial 2: failed: too deep in 0.0 s; "),
        (Trial(3, {}, error=""), "tpot trial 3: failed: it said nothing in 0.0 s; "),
    ],
    ids=["scored", "failed", "failed without a word"],
)
def test_a_trial_is_one_line_for_people(trial: Trial, line: str):
    assert trial.describe("tpot") == line
