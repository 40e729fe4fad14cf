"""From scores of days and the balance of a node to a probability that something is wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from smartgrid_ml.mining.theft.attacks import ATTACKS, apply_attack
from smartgrid_ml.mining.theft.balance_evidence import BalancedGrid, NodeHours, sum_to_hours
from smartgrid_ml.mining.theft.calibration_cases import (
    LEAST_JUDGED_DAYS,
    AttackedWindows,
    average_day_odds,
    build_balance_cases,
    build_score_cases,
)
from smartgrid_ml.mining.theft.day_comparison import DayConditions
from smartgrid_ml.mining.theft.day_features import MOVED_POSITIONS
from smartgrid_ml.mining.theft.logistic import Logistic
from smartgrid_ml.mining.theft.meter_probability import BASE_RATE, ProbabilityModel
from tests.unit.smartgrid_ml.mining.theft.homes import homes

DAYS, JUDGED = 42, slice(14, 42)
HOMES = homes(5, days=DAYS, seed=6)
NO_BALANCE = np.full((2, 4), np.nan)


def attacked_windows() -> AttackedWindows:
    """The judged days of five homes, under every attack on all of them."""
    clean = sum_to_hours(HOMES.energy_kwh[:, JUDGED])
    rng = np.random.default_rng(1)
    variants = [clean] + [
        np.stack([apply_attack(days, kind=kind, rng=rng) for days in clean]) for kind in ATTACKS
    ]
    score = np.linspace(-1, 1, 5)[:, None] + np.array([0.0, *[2.0] * len(ATTACKS)])
    return AttackedWindows(np.arange(5), score, np.stack(variants, axis=1))


def balanced_grid(**node_of: int) -> BalancedGrid:
    """Two nodes whose balances close."""
    rng = np.random.default_rng(2)
    unexplained = rng.normal(0, 0.001, (2, JUDGED.stop - JUDGED.start, 24))
    return BalancedGrid(NodeHours(("T1", "T2"), unexplained, np.array([0.1, 0.1])), node_of)


def cases_below(grid: BalancedGrid):
    moves = np.zeros((DAYS, len(MOVED_POSITIONS)), dtype=np.float32)
    model = SimpleNamespace(conditions=DayConditions(moves, np.zeros((DAYS, 5), np.float32)))
    return build_balance_cases(
        attacked_windows(), HOMES, model=model, judged=JUDGED, grid=grid, seed=3
    )


def test_the_score_of_a_window_is_the_mean_of_its_judged_days_each_within_bounds():
    odds = np.full((2, 10), np.nan)
    odds[0, :LEAST_JUDGED_DAYS] = [1, 1, 1, 1, 1, 1, 99]
    odds[1, : LEAST_JUDGED_DAYS - 1] = 1
    score, days = average_day_odds(odds)
    assert score[0] == pytest.approx((6 * 1 + 6) / 7)
    assert np.isnan(score[1])
    assert days.tolist() == [7, 6]


def test_more_evidence_never_acquits():
    x = np.array([[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.9, 0.1]])
    y = np.array([0.0, 1.0, 0.0, 1.0])
    fitted = Logistic.fit(x, y, weight=np.ones(4), least=(0.0, 1.0))
    assert fitted.weights[0] > 0
    assert fitted.weights[1] == pytest.approx(1.0)
    assert fitted.log_odds(x)[1] > fitted.log_odds(x)[0]


def test_without_a_balance_the_score_decides_and_without_a_score_nothing_is_known():
    model = ProbabilityModel(Logistic(np.array([1.0]), 0.0), None, {})
    probability = model.estimate(np.array([0.0, np.nan]), NO_BALANCE)
    assert probability[0] == pytest.approx(BASE_RATE)
    assert np.isnan(probability[1])
    assert model.estimate(np.array([0.0]), np.zeros((1, 4)))[0] == pytest.approx(BASE_RATE)


def test_with_a_balance_its_evidence_counts_as_well():
    with_balance = Logistic(np.array([1.0, 2.0, 2.0, 1.0]), 0.0)
    model = ProbabilityModel(Logistic(np.array([1.0]), 0.0), with_balance, {})
    evidence = np.array([[0.9, 0.0, 1.0, 0.0], [-0.9, 0.0, 1.0, -2.0]])
    follows, mismatch = model.estimate(np.zeros(2), evidence)
    assert follows == pytest.approx(1 / (1 + np.exp(-1.8) * (1 - BASE_RATE) / BASE_RATE))
    assert mismatch < BASE_RATE


def test_innocents_weigh_as_much_as_all_attacks_together():
    cases = build_score_cases(attacked_windows())
    assert cases.weight[cases.is_theft].sum() == cases.weight[~cases.is_theft].sum() == 30
    assert cases.evidence.shape == (5 * (1 + len(ATTACKS)), 1)


def test_a_thief_explains_what_its_node_misses_better_than_its_neighbour():
    cases = cases_below(balanced_grid(M000=0, M001=0, M002=1, M003=1))
    neighbours = ~cases.is_theft & (cases.weight < 1)
    assert len(cases.weight) == 4 * (1 + 2 * len(ATTACKS))
    assert set(cases.meter.tolist()) == {0, 1, 2, 3}
    thieves_weight, innocents_weight = (
        cases.weight[is_kind].sum() for is_kind in (cases.is_theft, ~cases.is_theft)
    )
    assert thieves_weight == pytest.approx(innocents_weight)
    assert cases.evidence[cases.is_theft, 3].mean() > cases.evidence[neighbours, 3].mean()
    assert cases.evidence[cases.is_theft, 2].mean() > cases.evidence[neighbours, 2].mean()


def test_without_a_node_there_are_no_cases_with_a_balance():
    assert len(cases_below(balanced_grid()).meter) == 0
