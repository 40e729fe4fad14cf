"""From the scores of days and the evidence of the energy balance to a probability for a meter."""

from dataclasses import dataclass

import numpy as np

from smartgrid_core.arrays import F64, Bool
from smartgrid_ml.mining.theft.attacks import ATTACKS
from smartgrid_ml.mining.theft.balance_evidence import BALANCE_EVIDENCE, BalancedGrid
from smartgrid_ml.mining.theft.calibration_cases import (
    AttackedWindows,
    average_day_odds,
    build_balance_cases,
    build_score_cases,
    build_windows,
    combine_evidence,
)
from smartgrid_ml.mining.theft.day_model import TheftModel
from smartgrid_ml.mining.theft.logistic import Logistic
from smartgrid_ml.mining.theft.meter_days import MeterDays
from smartgrid_ml.mining.theft.roc import compute_auc

BASE_RATE = 0.01
"""One meter in a hundred: the order of magnitude of non-technical losses in European low-voltage
grids, and the prior of every probability here."""

PRIOR = float(np.log(BASE_RATE / (1 - BASE_RATE)))
"""The same in log-odds."""

LIKELY = 0.5
"""From here on a meter is more likely wrong than not."""

LEAST_WINDOWS = 20
"""Fewer clean meters calibrate nothing."""


@dataclass(frozen=True, slots=True)
class ProbabilityModel:
    """Turns scores and energy-balance evidence into probabilities, calibrated on thefts."""

    score_only: Logistic
    """For meters without a balance."""
    with_balance: Logistic | None
    """For meters below a balanced node; None if too few of them were there to learn from."""
    figures: dict[str, float]
    """Areas under the ROC curve on meters that the regression was not fitted on, and how many
    meters: `alone_...` of the score, `witnessed_...` with the balance. MLflow's names of metrics
    are made of these keys."""

    def estimate(self, score: F64, balance_evidence: F64) -> F64:
        """Return the probability that something is wrong with each meter, at BASE_RATE, (n,).

        ``score``: (n,), as `average_day_odds` returns it; ``balance_evidence``: columns
        BALANCE_EVIDENCE, (n, 4), NaN without a balance: then the score decides alone. NaN without a
        score.
        """
        odds = np.full(len(score), np.nan)
        has_score = ~np.isnan(score)
        has_balance = has_score & ~np.isnan(balance_evidence).any(axis=1)
        if self.with_balance is None:
            has_balance[:] = False
        only_score = has_score & ~has_balance
        if only_score.any():
            odds[only_score] = self.score_only.log_odds(score[only_score, None])
        if self.with_balance is not None and has_balance.any():
            odds[has_balance] = self.with_balance.log_odds(
                combine_evidence(score[has_balance], balance_evidence[has_balance])
            )
        probability: F64 = 1 / (1 + np.exp(-odds - PRIOR))
        return probability


def calibrate_probability(
    model: TheftModel, meters: MeterDays, *, judged: slice, grid: BalancedGrid, seed: int
) -> ProbabilityModel | None:
    """Return the probabilities' model, calibrated on the meters that the theft model learned from.

    Every meter is taken as it is and under every attack over the judged days, during which the
    energy that it hides is missing at its node. Beside these thieves stand innocents: each meter as
    it is, with an honest node, and below the node of somebody else's theft.

    Args:
        model: The model of days, with the log-odds of days that it was not trained on.
        meters: The meters that it learned from.
        judged: Positions of the judged days.
        grid: The balances of the judged days.
        seed: Of the days on which thefts begin, and of the neighbours.

    Returns:
        None for fewer than LEAST_WINDOWS meters with a score that do not look like thieves.
    """
    windows = build_windows(model, judged=judged, rng=np.random.default_rng(seed))
    if len(windows.meter) < LEAST_WINDOWS:
        return None
    first = ProbabilityModel(build_score_cases(windows).fit(), None, {})
    is_likely = _find_likely_thieves(model, meters.select(windows.meter), judged=judged, by=first)
    windows = windows.select(~is_likely)
    if len(windows.meter) < LEAST_WINDOWS:
        return None
    score_cases = build_score_cases(windows)
    figures = {
        "alone_auc": score_cases.measure_auc(),
        "alone_meters": float(len(windows.meter)),
        **_measure_auc_by_attack(windows),
    }
    balance_cases = build_balance_cases(
        windows, meters, model=model, judged=judged, grid=grid, seed=seed
    )
    n_balanced = len(np.unique(balance_cases.meter))
    if n_balanced < LEAST_WINDOWS:
        return ProbabilityModel(score_cases.fit(), None, figures)
    figures |= {
        "witnessed_auc": balance_cases.measure_auc(),
        "witnessed_meters": float(n_balanced),
    }
    return ProbabilityModel(score_cases.fit(), balance_cases.fit(), figures)


def _measure_auc_by_attack(windows: AttackedWindows) -> dict[str, float]:
    clean = windows.score[:, 0]
    return {
        f"alone_auc_{kind}": compute_auc(clean, windows.score[:, variant])
        for variant, kind in enumerate(ATTACKS, start=1)
    }


def _find_likely_thieves(
    model: TheftModel, meters: MeterDays, *, judged: slice, by: ProbabilityModel
) -> Bool:
    """Return which meters look like thieves as they are: they are no innocents to learn from.

    Args:
        model: Scores the days of the meters.
        meters: The meters in question.
        judged: Positions of the judged days.
        by: Turns scores into probabilities, without a balance.

    Returns:
        bool, (n_meters,).
    """
    score, _ = average_day_odds(model.score(meters).log_odds[:, judged])
    no_balance = np.full((len(score), len(BALANCE_EVIDENCE)), np.nan)
    return np.asarray(np.nan_to_num(by.estimate(score, no_balance)) >= LIKELY)
