"""Thefts and innocents to calibrate on: meters over the judged days, clean and under every attack.

The energy that an attack hides is missing at the meter's node. So each attack gives a thief, whose
node misses what he hides, and an innocent: a neighbour below the same node.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from smartgrid_core.arrays import F64, I64, Bool
from smartgrid_ml.mining.theft.attacks import ATTACKS
from smartgrid_ml.mining.theft.balance_evidence import (
    BalancedGrid,
    estimate_expected_hours,
    measure_balance_evidence,
    sum_to_hours,
)
from smartgrid_ml.mining.theft.day_model import TheftModel
from smartgrid_ml.mining.theft.logistic import Logistic
from smartgrid_ml.mining.theft.meter_days import HOURS, MeterDays
from smartgrid_ml.mining.theft.roc import compute_auc

LEAST_JUDGED_DAYS = 7
"""A week, so that every weekday counts once."""

FARTHEST = 6.0
"""Bound of a single day's log-odds: days of one meter err together."""

FOLDS = 5
"""Parts of the meters in cross-validation."""

LEAST_WEIGHTS = (0.0, 0.0, 0.0, 1.0)
"""Smallest weights of the columns of `combine_evidence`. What a meter hides is missing at its node:
a factor of mismatch costs at least as large a factor of odds, however rarely injected attacks show
such a mismatch."""


def average_day_odds(day_odds: F64) -> tuple[F64, I64]:
    """Return the mean log-odds over a meter's judged days, and how many days were judged.

    ``day_odds``: (..., n_days), NaN for a day that was not judged. Both results are (...); the mean
    is NaN for fewer than LEAST_JUDGED_DAYS days. The mean, not the sum: days of one meter are not
    independent of each other.
    """
    judged = ~np.isnan(day_odds)
    days = judged.sum(axis=-1)
    total = np.where(judged, np.clip(np.nan_to_num(day_odds), -FARTHEST, FARTHEST), 0).sum(axis=-1)
    return np.where(days >= LEAST_JUDGED_DAYS, total / np.maximum(days, 1), np.nan), days


def combine_evidence(score: F64, balance_evidence: F64) -> F64:
    """Return what speaks for theft, each column the more the larger, (n, 4).

    ``score``: (n,), as `average_day_odds` returns it; ``balance_evidence``: columns
    BALANCE_EVIDENCE, (n, 4). The columns: the score; both correlations, at least 0, times how much
    energy the node misses; and how well gap and loss agree.
    """
    counted, gap, excess, fit = balance_evidence.T
    return np.column_stack(
        [score, np.maximum(counted, 0) * excess, np.maximum(gap, 0) * excess, fit]
    )


@dataclass(frozen=True, slots=True)
class AttackedWindows:
    """Meters over the judged days, clean (variant 0) and under each attack."""

    meter: I64
    """Positions of the meters, (n,)."""
    score: F64
    """Mean log-odds of the days, (n, 1 + n_attacks)."""
    reported_kwh: F64
    """What the meter counts, (n, 1 + n_attacks, n_judged, 24); NaN for a day that is not judged."""

    def select(self, rows: Bool | I64) -> "AttackedWindows":
        """Return some of the meters, by a mask (n,) or by position."""
        return AttackedWindows(self.meter[rows], self.score[rows], self.reported_kwh[rows])


def build_windows(model: TheftModel, *, judged: slice, rng: np.random.Generator) -> AttackedWindows:
    """Return the judged days of the meters that the model learned from, under every attack.

    Every other theft begins within the judged days, at least a week before their end. Meters with
    fewer than LEAST_JUDGED_DAYS judged days are left out.
    """
    labelled, n_judged = model.labelled, judged.stop - judged.start
    rows = np.flatnonzero((labelled.day >= judged.start) & (labelled.day < judged.stop))
    meter, position = np.unique(labelled.meter[rows], return_inverse=True)
    variants = model.held_out.shape[1]
    # by meter, variant and judged day: log-odds, and energy by hour
    odds = np.full((len(meter), variants, n_judged), np.nan)
    reported = np.full((len(meter), variants, n_judged, HOURS), np.nan)
    for variant in range(variants):
        at = (position, variant, labelled.day[rows] - judged.start)
        odds[at] = model.held_out[rows, variant]
        reported[at] = sum_to_hours(labelled.reported_kwh[rows, variant])
    # before its theft begins a meter is as it was
    latest = max(1, n_judged - LEAST_JUDGED_DAYS + 1)
    begins = rng.integers(0, latest, size=odds.shape[:2]) * rng.integers(0, 2, size=odds.shape[:2])
    is_honest = np.arange(n_judged)[None, None, :] < begins[:, :, None]
    odds = np.where(is_honest, odds[:, :1], odds)
    reported = np.where(is_honest[..., None], reported[:, :1], reported)
    score, _ = average_day_odds(odds)
    has_score = ~np.isnan(score).any(axis=1)
    return AttackedWindows(meter[has_score], score[has_score], reported[has_score])


@dataclass(frozen=True, slots=True)
class LabelledCases:
    """Thefts and innocents to learn from."""

    evidence: F64
    """What speaks for theft, (n, n_columns): the score alone, or `combine_evidence`'s columns."""
    is_theft: Bool
    """(n,)"""
    meter: I64
    """Position of the meter that the case is about, (n,)."""
    weight: F64
    """How much the case counts, (n,)."""

    @classmethod
    def create_empty(cls) -> "LabelledCases":
        """Return no case at all, of one column."""
        none = np.empty(0)
        return cls(none[:, None], none.astype(bool), none.astype(np.int64), none)

    def fit(self, rows: Bool | slice = slice(None)) -> Logistic:
        """Return a logistic regression of the cases (of those in `rows`), at even odds."""
        return Logistic.fit(
            self.evidence[rows],
            self.is_theft[rows].astype(float),
            weight=self.weight[rows],
            least=LEAST_WEIGHTS[: self.evidence.shape[1]],
        )

    def measure_auc(self) -> float:
        """Return the area under the ROC curve for meters that the regression was not fitted on."""
        odds = np.empty(len(self.meter))
        fold = np.unique(self.meter, return_inverse=True)[1] % FOLDS
        for number in range(FOLDS):
            is_out = fold == number
            odds[is_out] = self.fit(~is_out).log_odds(self.evidence[is_out])
        return compute_auc(odds[~self.is_theft], odds[self.is_theft])


def build_score_cases(windows: AttackedWindows) -> LabelledCases:
    """Return each meter as it is and under each attack, with its score as the only evidence.

    Innocents weigh as much as all their attacks together.
    """
    kinds, score = len(ATTACKS), windows.score
    return LabelledCases(
        np.concatenate([score[:, 0], score[:, 1:].ravel()])[:, None],
        np.repeat([False, True], [len(score), score[:, 1:].size]),
        np.concatenate([windows.meter, np.repeat(windows.meter, kinds)]),
        np.repeat([float(kinds), 1.0], [len(score), score[:, 1:].size]),
    )


def build_balance_cases(
    windows: AttackedWindows,
    meters: MeterDays,
    *,
    model: TheftModel,
    judged: slice,
    grid: BalancedGrid,
    seed: int,
) -> LabelledCases:
    """Return thefts and innocents with energy-balance evidence, of meters below a balanced node.

    Args:
        windows: The meters over the judged days, by position in `meters`.
        meters: The meters that the model learned from.
        model: Says how peers moved on the judged days.
        judged: Positions of the judged days.
        grid: The balances, whose unexplained energy is taken as measured beside honest meters.
        seed: Of the draw of a neighbour for each meter.

    Returns:
        Cases of which the evidence is `combine_evidence`'s columns; those without enough hours of a
        balance are left out.
    """
    at_node = grid.match_meters(meters.meter_ids[row] for row in windows.meter)
    has_node = at_node >= 0
    if not has_node.any():
        return LabelledCases.create_empty()
    windows, at_node = windows.select(has_node), at_node[has_node]
    below = meters.select(windows.meter)
    expected = estimate_expected_hours(
        below,
        trusted=np.ones(below.is_whole.shape, dtype=bool),
        judged=judged,
        peer_moves=model.conditions.select_total_moves(judged),
    )
    band = grid.nodes.band_kwh[at_node]
    scenarios = _iter_scenarios(
        windows,
        missing_kwh=grid.nodes.unexplained_kwh[at_node],
        neighbour=_draw_neighbours(at_node, rng=np.random.default_rng(seed)),
    )
    return _join_cases(
        [
            _label_scenario(each, meter=windows.meter, expected_kwh=expected, band_kwh=band)
            for each in scenarios
        ]
    )


@dataclass(frozen=True, slots=True)
class _Scenario:
    """One situation of all meters: what they count, what their nodes miss, and whose doing it is.

    ``reported_kwh``, ``missing_kwh``: (n, n_judged, 24); ``score``: (n,); ``weight``: of each case.
    """

    reported_kwh: F64
    missing_kwh: F64
    score: F64
    is_theft: bool
    weight: float


def _iter_scenarios(
    windows: AttackedWindows, *, missing_kwh: F64, neighbour: I64
) -> Iterator[_Scenario]:
    """Yield honest meters below honest nodes, then per attack the thieves and their neighbours.

    ``missing_kwh``: what each meter's node misses as it is, (n, n_judged, 24); ``neighbour``: for
    each meter the position of another one below its node, (n,). In all, thieves weigh as much as
    innocents.
    """
    clean, clean_score = windows.reported_kwh[:, 0], windows.score[:, 0]
    share = 1 / len(ATTACKS)
    yield _Scenario(clean, missing_kwh, clean_score, is_theft=False, weight=1.0)
    for variant in range(1, len(ATTACKS) + 1):
        stolen, stolen_score = windows.reported_kwh[:, variant], windows.score[:, variant]
        hidden = np.nan_to_num(clean - stolen)
        yield _Scenario(stolen, missing_kwh + hidden, stolen_score, is_theft=True, weight=2 * share)
        yield _Scenario(
            clean, missing_kwh + hidden[neighbour], clean_score, is_theft=False, weight=share
        )


def _label_scenario(
    scenario: _Scenario, *, meter: I64, expected_kwh: F64, band_kwh: F64
) -> LabelledCases:
    """Return a case per meter that has enough hours of a balance.

    Args:
        scenario: What the meters count and what their nodes miss.
        meter: Positions of the meters, (n,).
        expected_kwh: What each should count, (n, n_judged, 24).
        band_kwh: Usual unexplained energy of a day at each meter's node, (n,).
    """
    balance_evidence = measure_balance_evidence(
        scenario.reported_kwh,
        expected_kwh=expected_kwh,
        unexplained_kwh=scenario.missing_kwh,
        band_kwh=band_kwh,
    )
    is_known = ~np.isnan(balance_evidence).any(axis=1)
    n_known = int(is_known.sum())
    return LabelledCases(
        combine_evidence(scenario.score, balance_evidence)[is_known],
        np.repeat(scenario.is_theft, n_known),
        meter[is_known],
        np.repeat(scenario.weight, n_known),
    )


def _join_cases(parts: list[LabelledCases]) -> LabelledCases:
    return LabelledCases(
        np.concatenate([part.evidence for part in parts]),
        np.concatenate([part.is_theft for part in parts]),
        np.concatenate([part.meter for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )


def _draw_neighbours(at_node: I64, *, rng: np.random.Generator) -> I64:
    """Return for each meter another one below the same node, itself where it is the only one.

    ``at_node``: position of each meter's node, (n,); so is the result, by position of the meter.
    """
    neighbour = np.arange(len(at_node))
    for node in np.unique(at_node):
        below = rng.permutation(np.flatnonzero(at_node == node))
        neighbour[below] = np.roll(below, 1)
    return neighbour
