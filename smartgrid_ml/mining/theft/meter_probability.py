"""From the scores of days and the testimony of the balance to a probability for a meter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartgrid_ml.mining.theft.attacks import ATTACKS
from smartgrid_ml.mining.theft.balance_evidence import (
    BALANCE_EVIDENCE,
    NodeHours,
    estimate_expected_hours,
    measure_balance_evidence,
    sum_to_hours,
)
from smartgrid_ml.mining.theft.day_model import TheftModel
from smartgrid_ml.mining.theft.meter_days import HOURS, MeterDays
from smartgrid_ml.mining.theft.roc import compute_auc

Doubles = NDArray[np.float64]

BASE_RATE = 0.01
"""One meter in a hundred: the order of magnitude of non-technical losses in European low-voltage
grids, and the prior of every probability here."""

PRIOR = float(np.log(BASE_RATE / (1 - BASE_RATE)))
"""The same in log-odds."""

LIKELY = 0.5
"""From here on a meter is more likely wrong than not."""

LEAST_JUDGED_DAYS = 7
"""A week, so that every weekday counts once."""

FARTHEST = 6.0
"""A single day says no more than this, in log-odds: days of one meter err together."""

LEAST_WINDOWS = 20
"""Fewer clean meters calibrate nothing."""

FOLDS = 5

LEAST_WEIGHTS = (0.0, 0.0, 0.0, 1.0)
"""Of the columns of `evidence`. What a meter hides is missing at its node: a factor of mismatch
costs at least as large a factor of odds, however rarely injected attacks show such a mismatch."""

PENALTY = 1e-3
"""Keeps weights finite where a few meters are told apart without an error."""


def average_day_odds(day_odds: Doubles) -> tuple[Doubles, NDArray[np.int64]]:
    """Mean log-odds over a meter's judged days, NaN for too few, and how many: (n_meters, n_days).

    The mean, not the sum: tomorrow is like today, and independent days they are not.
    """
    judged = ~np.isnan(day_odds)
    days = judged.sum(axis=-1)
    total = np.where(judged, np.clip(np.nan_to_num(day_odds), -FARTHEST, FARTHEST), 0).sum(axis=-1)
    return np.where(days >= LEAST_JUDGED_DAYS, total / np.maximum(days, 1), np.nan), days


@dataclass(frozen=True, slots=True)
class Logistic:
    """Logistic regression whose weights are not negative: more evidence never acquits.

    log-odds = `intercept` + sum over columns of `weights` * x, (n_columns,).
    """

    weights: Doubles
    intercept: float

    @classmethod
    def fit(cls, x: Doubles, y: Doubles, *, weight: Doubles, least: Sequence[float]) -> "Logistic":
        """The weighted maximum likelihood, with a penalty PENALTY on standardised weights.

        ``least``: the smallest weight of each column.
        """
        from scipy.optimize import minimize

        share = weight / weight.sum()
        mean = share @ x
        size = np.sqrt(share @ (x - mean) ** 2) + 1e-9
        standard = (x - mean) / size

        def loss(values: Doubles) -> tuple[float, Doubles]:
            odds = values[0] + standard @ values[1:]
            error = share * (1 / (1 + np.exp(-odds)) - y)
            likelihood = share @ (np.logaddexp(0, odds) - y * odds)
            slope = np.concatenate([[error.sum()], standard.T @ error + 2 * PENALTY * values[1:]])
            return float(likelihood + PENALTY * (values[1:] ** 2).sum()), slope

        bounds = [(None, None), *((low * of, None) for low, of in zip(least, size, strict=True))]
        found = minimize(loss, np.array([0.0, *least * size]), jac=True, bounds=bounds).x
        weights = found[1:] / size
        return cls(weights, float(found[0] - weights @ mean))

    def log_odds(self, x: Doubles) -> Doubles:
        """Of rows (n, n_columns), at even odds."""
        odds: Doubles = self.intercept + x @ self.weights
        return odds


@dataclass(frozen=True, slots=True)
class ProbabilityModel:
    """Calibrated on injected thefts: `alone` knows the score, `witnessed` the testimony as well.

    ``figures``: what each reaches on meters that it has not seen, and on how many.
    """

    alone: Logistic
    witnessed: Logistic | None
    figures: dict[str, float]

    def probability(self, score: Doubles, said: Doubles) -> Doubles:
        """That something is wrong with each meter, at the base rate BASE_RATE: (n,).

        ``score``: (n,), as `average_day_odds` gives it; ``said``: columns TESTIMONY, (n, 4), NaN
        where
        there is no balance: then the score speaks alone. NaN without a score.
        """
        odds = np.full(len(score), np.nan)
        scored = ~np.isnan(score)
        heard = scored & ~np.isnan(said).any(axis=1) & (self.witnessed is not None)
        unheard = scored & ~heard
        if unheard.any():
            odds[unheard] = self.alone.log_odds(score[unheard, None])
        if heard.any() and self.witnessed is not None:
            odds[heard] = self.witnessed.log_odds(combine_evidence(score[heard], said[heard]))
        probability: Doubles = 1 / (1 + np.exp(-odds - PRIOR))
        return probability


def combine_evidence(score: Doubles, said: Doubles) -> Doubles:
    """What speaks for theft, each the more the larger: (n, 4).

    The score; to move with a loss counts by how much is lost; and how well gap and loss agree.
    """
    counted, gap, excess, fit = said.T
    return np.column_stack(
        [score, np.maximum(counted, 0) * excess, np.maximum(gap, 0) * excess, fit]
    )


def calibrate_probability(
    model: TheftModel,
    meters: MeterDays,
    *,
    judged: slice,
    nodes: NodeHours,
    node_of: dict[str, int],
    seed: int = 2016,
) -> ProbabilityModel | None:
    """Calibrate on the meters that the theft model learned from; None for too few.

    Every meter is looked at as it is and under every attack over the judged days, during which the
    energy that it hides is missing at its node. Beside these thieves stand innocents: each meter as
    it is, with an honest node, and below the node of somebody else's theft.
    """
    windows = _build_windows(model, judged=judged, rng=np.random.default_rng(seed))
    if len(windows.meter) < LEAST_WINDOWS:
        return None
    first = ProbabilityModel(_build_score_cases(windows).fitted(), None, {})
    windows = windows.of(~_find_likely_thieves(model, meters, windows, judged=judged, first=first))
    if len(windows.meter) < LEAST_WINDOWS:
        return None
    alone = _build_score_cases(windows)
    score = windows.score
    figures = {"alone_auc": alone.cross_validated_auc(), "alone_meters": float(len(score))}
    for at, kind in enumerate(ATTACKS, start=1):
        figures[f"alone_auc_{kind}"] = compute_auc(score[:, 0], score[:, at])
    witnessed = _build_balance_cases(
        windows, meters, model=model, judged=judged, nodes=nodes, node_of=node_of, seed=seed
    )
    heard = len(np.unique(witnessed.meter))
    if heard < LEAST_WINDOWS:
        return ProbabilityModel(alone.fitted(), None, figures)
    figures |= {"witnessed_auc": witnessed.cross_validated_auc(), "witnessed_meters": float(heard)}
    return ProbabilityModel(alone.fitted(), witnessed.fitted(), figures)


def _find_likely_thieves(
    model: TheftModel,
    meters: MeterDays,
    windows: "_JudgedWindows",
    *,
    judged: slice,
    first: ProbabilityModel,
) -> NDArray[np.bool_]:
    """Which meters look like thieves as they are: whoever steals is no innocent to learn from."""
    scores = model.score(meters.of(windows.meter))
    score, _ = average_day_odds(scores.log_odds[:, judged])
    unheard = np.full((len(score), len(BALANCE_EVIDENCE)), np.nan)
    probability = first.probability(score, unheard)
    return np.asarray(np.nan_to_num(probability) >= LIKELY)


def _build_score_cases(windows: "_JudgedWindows") -> "_LabelledCases":
    kinds, score = len(ATTACKS), windows.score
    return _LabelledCases(
        np.concatenate([score[:, 0], score[:, 1:].ravel()])[:, None],
        np.repeat([False, True], [len(score), score[:, 1:].size]),
        np.concatenate([windows.meter, np.repeat(windows.meter, kinds)]),
        np.repeat([float(kinds), 1.0], [len(score), score[:, 1:].size]),
    )


@dataclass(frozen=True, slots=True)
class _JudgedWindows:
    """Meters over the judged days, clean and under each attack: ``meter`` by position, (n,).

    ``score``: (n, 1 + n_attacks); ``reported_kwh``: (n, 1 + n_attacks, n_judged, 24), NaN: not
    judged.
    """

    meter: NDArray[np.int64]
    score: Doubles
    reported_kwh: Doubles

    def of(self, rows: NDArray[np.bool_]) -> "_JudgedWindows":
        """Some of the meters."""
        return _JudgedWindows(self.meter[rows], self.score[rows], self.reported_kwh[rows])


def _build_windows(model: TheftModel, *, judged: slice, rng: np.random.Generator) -> _JudgedWindows:
    """Every other theft begins within the judged days, at least a week before their end."""
    labelled, n_judged = model.labelled, judged.stop - judged.start
    rows = np.flatnonzero((labelled.day >= judged.start) & (labelled.day < judged.stop))
    meter, position = np.unique(labelled.meter[rows], return_inverse=True)
    variants = model.held_out.shape[1]
    odds = np.full((len(meter), variants, n_judged), np.nan)
    told = np.full((len(meter), variants, n_judged, HOURS), np.nan)
    for variant in range(variants):
        at = (position, variant, labelled.day[rows] - judged.start)
        odds[at] = model.held_out[rows, variant]
        told[at] = sum_to_hours(labelled.reported_kwh[rows, variant])
    latest = max(1, n_judged - LEAST_JUDGED_DAYS + 1)
    begins = rng.integers(0, latest, size=odds.shape[:2]) * rng.integers(0, 2, size=odds.shape[:2])
    honest = np.arange(n_judged)[None, None, :] < begins[:, :, None]
    odds = np.where(honest, odds[:, :1], odds)
    told = np.where(honest[..., None], told[:, :1], told)
    score, _ = average_day_odds(odds)
    kept = ~np.isnan(score).any(axis=1)
    return _JudgedWindows(meter[kept], score[kept], told[kept])


@dataclass(frozen=True, slots=True)
class _LabelledCases:
    """Thefts and innocents to learn from: evidence (n, k), and whose it is; ``weight`` (n,)."""

    evidence: Doubles
    is_theft: NDArray[np.bool_]
    meter: NDArray[np.int64]
    weight: Doubles

    def fitted(self, rows: NDArray[np.bool_] | slice = slice(None)) -> Logistic:
        """A logistic regression of the cases, at even odds."""
        return Logistic.fit(
            self.evidence[rows],
            self.is_theft[rows].astype(float),
            weight=self.weight[rows],
            least=LEAST_WEIGHTS[: self.evidence.shape[1]],
        )

    def cross_validated_auc(self) -> float:
        """Area under the curve for meters that the regression has not seen."""
        odds = np.empty(len(self.meter))
        fold = np.unique(self.meter, return_inverse=True)[1] % FOLDS
        for number in range(FOLDS):
            out = fold == number
            odds[out] = self.fitted(~out).log_odds(self.evidence[out])
        return compute_auc(odds[~self.is_theft], odds[self.is_theft])


def _build_balance_cases(
    windows: _JudgedWindows,
    meters: MeterDays,
    *,
    model: TheftModel,
    judged: slice,
    nodes: NodeHours,
    node_of: dict[str, int],
    seed: int,
) -> _LabelledCases:
    rng = np.random.default_rng(seed)
    at_node = np.array([node_of.get(meters.meter_ids[row], -1) for row in windows.meter])
    rows = np.flatnonzero(at_node >= 0)
    if not len(rows):
        none = np.empty(0)
        return _LabelledCases(none[:, None], none.astype(bool), none.astype(np.int64), none)
    at_node = at_node[rows]
    some = meters.of(windows.meter[rows])
    expected = estimate_expected_hours(
        some,
        trusted=np.ones(some.is_whole.shape, dtype=bool),
        judged=judged,
        moves=model.around.peers[judged, 0].astype(np.float64),
    )
    missing, band = nodes.unexplained_kwh[at_node], nodes.band_kwh[at_node]
    clean = windows.reported_kwh[rows, 0]
    parts: list[tuple[Doubles, Doubles, bool, float]] = []

    def looked_at(
        told: Doubles, score: Doubles, missing: Doubles, *, theft: bool, weight: float
    ) -> None:
        said = measure_balance_evidence(
            told, expected_kwh=expected, unexplained_kwh=missing, band_kwh=band
        )
        parts.append((score, said, theft, weight))

    looked_at(clean, windows.score[rows, 0], missing, theft=False, weight=1.0)
    other = _draw_neighbours(at_node, rng=rng)
    for at in range(1, len(ATTACKS) + 1):
        hidden = np.nan_to_num(clean - windows.reported_kwh[rows, at])
        share = 1 / len(ATTACKS)
        looked_at(
            windows.reported_kwh[rows, at], windows.score[rows, at], missing + hidden,
            theft=True, weight=2 * share,
        )  # fmt: skip
        looked_at(clean, windows.score[rows, 0], missing + hidden[other], theft=False, weight=share)
    score = np.concatenate([part[0] for part in parts])
    said = np.concatenate([part[1] for part in parts])
    heard = ~np.isnan(said).any(axis=1)
    return _LabelledCases(
        combine_evidence(score, said)[heard],
        np.repeat([part[2] for part in parts], len(rows))[heard],
        np.tile(windows.meter[rows], len(parts))[heard],
        np.repeat([part[3] for part in parts], len(rows))[heard],
    )


def _draw_neighbours(at_node: NDArray[np.int64], *, rng: np.random.Generator) -> NDArray[np.int64]:
    """For each meter another one below the same node, itself where it is the only one."""
    other = np.arange(len(at_node))
    for node in np.unique(at_node):
        below = rng.permutation(np.flatnonzero(at_node == node))
        other[below] = np.roll(below, 1)
    return other
