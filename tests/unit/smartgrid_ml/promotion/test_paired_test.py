"""Two forecasts of the same days: what is chance and what is not."""

import math

import numpy as np
import pytest
from scipy import stats

from smartgrid_ml.promotion.paired_test import bootstrap_interval, compute_diebold_mariano

RANDOM = np.random.default_rng(5)


def test_one_step_ahead_it_is_the_paired_t_test():
    stable, canary = RANDOM.gamma(2.0, size=(2, 25))
    expected = stats.ttest_rel(canary, stable)
    tested = compute_diebold_mariano(canary - stable)
    assert tested.statistic == pytest.approx(expected.statistic)
    assert tested.p_value == pytest.approx(expected.pvalue)


def test_two_steps_ahead_it_is_what_one_computes_by_hand():
    # mean 2, deviations -1 0 1 0: g0 = 2/4, g1 = 0; V = 0.5/4; correction (4 + 1 - 4 + 2/4)/4.
    tested = compute_diebold_mariano([1.0, 2.0, 3.0, 2.0], horizon=2)
    assert tested.statistic == pytest.approx(2 / math.sqrt(0.5 / 4) * math.sqrt(1.5 / 4))
    assert tested.p_value == pytest.approx(2 * stats.t.sf(tested.statistic, df=3))


def test_a_variance_that_full_weights_make_negative_is_estimated_with_bartletts():
    # Deviations 1 -1 1 -1: g0 = 1, g1 = -3/4; fully 1 - 3/2 < 0, with Bartlett 1 - 3/4.
    tested = compute_diebold_mariano([2.0, 0.0, 2.0, 0.0], horizon=2)
    assert tested.statistic == pytest.approx(1 / math.sqrt(0.25 / 4) * math.sqrt(1.5 / 4))


def test_the_sign_says_who_is_better_and_the_order_of_the_two_only_turns_it():
    differences = RANDOM.normal(-0.3, 1.0, size=60)
    one, other = compute_diebold_mariano(differences), compute_diebold_mariano(-differences)
    assert one.statistic < 0
    assert (one.statistic, one.p_value) == pytest.approx((-other.statistic, other.p_value))


def test_equal_forecasts_do_not_differ_and_a_constant_difference_is_no_chance():
    assert compute_diebold_mariano([0.0] * 5) == compute_diebold_mariano([0.0] * 5, horizon=3)
    assert (
        compute_diebold_mariano([0.0] * 5).statistic,
        compute_diebold_mariano([0.0] * 5).p_value,
    ) == (0.0, 1.0)
    tested = compute_diebold_mariano([-0.1] * 9)
    assert (tested.statistic, tested.p_value) == (-math.inf, 0.0)


def test_of_equally_good_forecasts_a_twentieth_seems_different_at_five_percent():
    samples = np.random.default_rng(7).standard_t(5, size=(4_000, 14))
    seems_different = np.mean([compute_diebold_mariano(each).p_value < 0.05 for each in samples])
    assert seems_different == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("differences", "horizon", "words"),
    [
        ([1.0], 1, "1 origins are too few"),
        ([1.0, 2.0, 3.0], 4, "3 origins are too few to compare forecasts 4 ahead"),
        ([1.0, math.nan], 1, "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(differences, horizon, words):
    with pytest.raises(ValueError, match=words):
        compute_diebold_mariano(differences, horizon=horizon)


@pytest.mark.slow
def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    samples = np.random.default_rng(9).normal(0.5, 1.0, size=(200, 30))
    held = [
        low <= 0.5 <= high
        for low, high in (bootstrap_interval(each, seed=1, block=1) for each in samples)
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.04)


def test_blocks_widen_the_interval_of_a_series_that_hangs_together():
    steps = np.random.default_rng(3).normal(size=200)
    series = np.convolve(steps, np.ones(5) / 5, mode="valid")
    single, blocks = (bootstrap_interval(series, seed=1, block=size) for size in (1, 8))
    assert blocks[1] - blocks[0] > 1.5 * (single[1] - single[0])


def test_the_same_seed_gives_the_same_interval_and_a_constant_its_own():
    values = RANDOM.normal(size=20)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval([2.0] * 6, seed=1) == (2.0, 2.0)
    with pytest.raises(ValueError, match="too few for an interval"):
        bootstrap_interval([1.0], seed=1)
