"""What a coincidence is worth when hours hang together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact, norm

from smartgrid_ml.mining.rules.significance import (
    RuleCounts,
    bound_confidence,
    compare_confidences,
    compute_fisher_p,
    compute_q_values,
    correct_p_values,
    count_together_by_shift,
    estimate_design_effects,
)

EVERYWHERE = np.ones((28, 24), dtype=np.bool_)


def p_of(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The exact p and the one that is corrected for days in a row."""
    exact = compute_fisher_p(first, second, present=EVERYWHERE)
    effects = estimate_design_effects(first[None], second, present=EVERYWHERE)
    return exact, float(correct_p_values(np.array([exact]), effects)[0])


def by_chance(rng: np.random.Generator) -> np.ndarray:
    return rng.random((28, 24)) < 0.1


def in_runs(rng: np.random.Generator) -> np.ndarray:
    """A tenth of the hours, each like the one before seven times out of ten."""
    fresh, drawn = rng.random(28 * 24) > 0.7, rng.random(28 * 24) < 0.1
    last = np.maximum.accumulate(np.where(fresh, np.arange(28 * 24), 0))
    return drawn[last].reshape(28, 24)


def in_spells(rng: np.random.Generator) -> np.ndarray:
    """Whole days, four in a row on average."""
    fresh, drawn = rng.random(28) > 0.75, rng.random(28) < 0.3
    last = np.maximum.accumulate(np.where(fresh, np.arange(28), 0))
    return drawn[last][:, None].repeat(24, axis=1)


@given(
    marks=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30),
)
def test_with_one_slot_it_is_fishers_exact_test(marks):
    first, second = (np.array(each, dtype=np.bool_)[:, None] for each in zip(*marks, strict=True))
    table = [
        [(first & second).sum(), (first & ~second).sum()],
        [(~first & second).sum(), (~first & ~second).sum()],
    ]

    p = compute_fisher_p(first, second, present=np.ones_like(first))

    assert p == pytest.approx(fisher_exact(table, alternative="greater").pvalue, rel=1e-9)


def test_what_only_the_clock_says_is_no_evidence():
    evening = np.zeros((28, 24), dtype=np.bool_)
    evening[:, 17:22] = True
    peaks = evening & (np.arange(28) % 3 == 0)[:, None]

    assert p_of(evening, peaks) == (1.0, 1.0)


def test_shifts_count_every_pairing_of_days():
    first, second = (np.random.default_rng(n).random((5, 3)) < 0.5 for n in (1, 2))

    counts = count_together_by_shift(first[None], second)[0]

    assert counts.tolist() == [(first & np.roll(second, -n, axis=0)).sum() for n in range(5)]


@pytest.mark.parametrize("kind", [by_chance, in_runs, in_spells])
def test_independent_items_are_seldom_found_whatever_their_rhythm(kind):
    """One side comes in runs, as events do, the other as it likes."""
    rng = np.random.default_rng(8)
    p_values = np.array([p_of(kind(rng), in_runs(rng))[1] for _ in range(300)])

    # 5 % of 300, and three deviations of the binomial.
    assert (p_values < 0.05).sum() <= 15 + 3 * (300 * 0.05 * 0.95) ** 0.5
    assert (p_values < 0.001).sum() <= 2


def test_hours_in_a_row_taken_for_independent_would_be_found_too_often():
    rng = np.random.default_rng(8)
    exact = np.array([p_of(in_spells(rng), in_runs(rng))[0] for _ in range(300)])

    assert (exact < 0.05).mean() > 0.12


def test_what_two_things_share_with_the_season_is_no_evidence():
    """Both at 40 % of the evenings, on their own, in the second of two times four weeks only."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        first, second = (np.zeros((56, 24), dtype=np.bool_) for _ in "ab")
        for each in (first, second):
            each[28:, 18] = rng.random(28) < 0.4
        p = compute_fisher_p(first, second, present=np.ones_like(first))
        effects = estimate_design_effects(first[None], second, present=np.ones_like(first))
        found.append(correct_p_values(np.array([p]), effects)[0])

    assert (np.array(found) < 0.05).sum() <= 5


def test_the_chi_square_is_divided_by_the_design_effect():
    p = correct_p_values(np.array([norm.sf(4.0), 0.7]), np.array([4.0, 9.0]))

    assert p.tolist() == pytest.approx([norm.sf(2.0), 0.7])


def test_false_discoveries_are_counted_over_all_that_was_tested():
    # Benjamini-Yekutieli of four tests: p * 4 / rank * (1 + 1/2 + 1/3 + 1/4).
    q = compute_q_values(np.array([0.001, 0.01]), hypotheses=4)

    assert q.tolist() == pytest.approx([0.001 * 4 * 25 / 12, 0.01 * 2 * 25 / 12])
    assert compute_q_values(np.array([]), hypotheses=4).tolist() == []


def test_confidences_of_few_or_clustered_cases_do_not_differ():
    assert compare_confidences(RuleCounts(40, 36), RuleCounts(40, 4)) < 1e-10
    assert compare_confidences(RuleCounts(40, 36, 20.0), RuleCounts(40, 4, 20.0)) > 0.05
    assert compare_confidences(RuleCounts(), RuleCounts(40, 4)) == 1.0


def test_the_least_confidence_is_wilsons():
    # Wilson's lower bound of 8 of 10 at z = 1.645 (R: prop.test(8, 10, correct = FALSE)).
    one, clustered = (
        float(bound_confidence(np.array([10.0]), np.array([8.0]), np.array([effect]))[0])
        for effect in (1.0, 5.0)
    )

    assert one == pytest.approx(0.5408, abs=1e-4)
    assert clustered < one
