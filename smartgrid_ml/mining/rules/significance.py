"""How surprising it is that two kinds of hours fall together, when hours follow one another.

Both things that a rule ties may just follow the clock, and neither of them is free from one hour to
the next. So hours are compared with the same hour of other days of the same four weeks, for
seasons move everything, and days come in spells:

1. Fisher's exact test, stratified by the hour of day and four weeks: given how often either stood
   in each stratum, how likely is it to see them together so often? The distribution is that of a
   sum of hypergeometric variables (C. Mehta, N. Patel, R. Gray, Computing an exact confidence
   interval for the common odds ratio in several 2 x 2 contingency tables, JASA 80, 1985). What only
   the clock says of the clock is no evidence here: its p is 1.
2. Its chi-square is divided by the design effect of the days (J. Rao, A. Scott, On chi-squared
   tests for multiway contingency tables with cell proportions estimated from survey data, Annals of
   Statistics 12, 1984). The design effect is read off the data: the consequent is shifted along the
   antecedent by every whole number of days, which keeps hours that hang together, spells of weather
   and the week, and breaks what ties the two; the variance of the counts over these shifts against
   that of independent hours is the effect.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from smartgrid_core.arrays import F64, I64, Bool

WILSON_Z = 1.6448536269514722
"""The standard normal's 95th percentile: a bound on one side."""

BLOCK_DAYS = 28
"""Days that are compared with each other: longer windows are cut into about so many."""

LEAST_DAYS = 3
"""Fewer shifts have no variance to speak of."""

FURTHEST_Z = 37.0
"""Where the normal tail leaves the numbers that a float can hold."""


def count_together_by_shift(antecedents: Bool, consequent: Bool) -> F64:
    """Return the transactions with both, for every circular shift by whole days.

    ``antecedents``: (n_antecedents, n_days, n_slots); ``consequent``: (n_days, n_slots). The result
    is (n_antecedents, n_days); column 0 is no shift.
    """
    days = consequent.shape[0]
    first = np.fft.rfft(antecedents.astype(np.float64), axis=1)
    second = np.fft.rfft(consequent.astype(np.float64), axis=0)
    spectrum = (np.conj(first) * second[None]).sum(axis=2)
    counts: F64 = np.round(np.fft.irfft(spectrum, n=days, axis=1))
    return counts


def estimate_design_effects(antecedents: Bool, consequent: Bool, *, present: Bool) -> F64:
    """Return by how much days in spells widen the count of a pair, (n_antecedents,), at least 1.

    ``antecedents``: (n_antecedents, n_days, n_slots); ``consequent``, and ``present``, where there
    is a transaction at all: (n_days, n_slots).
    """
    shifted, independent = np.zeros(len(antecedents)), np.zeros(len(antecedents))
    for block in _split_days(consequent.shape[0]):
        of_block = _compute_variances(antecedents[:, block], consequent[block], present[block])
        shifted = shifted + of_block.over_shifts
        independent = independent + of_block.independent
    effect = np.divide(shifted, independent, out=np.ones_like(shifted), where=independent > 0)
    widened: F64 = np.maximum(effect, 1.0)
    return widened


def _split_days(days: int) -> list[slice]:
    """Return the days in spans of equal length, of about BLOCK_DAYS."""
    count = max(1, round(days / BLOCK_DAYS))
    edges = [round(number * days / count) for number in range(count + 1)]
    return [slice(first, behind) for first, behind in pairwise(edges)]


@dataclass(frozen=True, slots=True)
class _Variances:
    """Variances of the counts of pairs within a block of days, (n_antecedents,) each."""

    over_shifts: F64
    """Over all shifts by whole days."""
    independent: F64
    """If hours were independent of each other."""


def _compute_variances(antecedents: Bool, consequent: Bool, present: Bool) -> _Variances:
    """Return the variances within a block; arrays as in `estimate_design_effects`."""
    days = consequent.shape[0]
    # counts by slot: transactions (n_slots,), antecedents (n_antecedents, n_slots), consequent
    n = present.sum(axis=0).astype(np.float64)
    a, c = antecedents.sum(axis=1).astype(np.float64), consequent.sum(axis=0).astype(np.float64)
    slots = n**2 * np.maximum(n - 1, 1)
    parts = np.divide(a * (n - a) * c * (n - c), slots, out=np.zeros_like(a), where=n > 0)
    independent: F64 = parts.sum(axis=1)
    if days < LEAST_DAYS:
        return _Variances(independent, independent)
    counts = count_together_by_shift(antecedents, consequent)[:, 1:]
    expected = (a * c / days).sum(axis=1)
    over_shifts: F64 = ((counts - expected[:, None]) ** 2).mean(axis=1)
    return _Variances(over_shifts, independent)


def compute_fisher_p(antecedent: Bool, consequent: Bool, *, present: Bool) -> float:
    """Return the one-sided p of so many transactions with both or more, given all margins.

    The margins are those of every stratum, a slot of the day within a block of days. Arrays:
    (n_days, n_slots); ``present``: where there is a transaction at all.
    """
    blocks = _split_days(consequent.shape[0])
    # counts by stratum, (n_strata,)
    n, a, c = (
        np.concatenate([each[block].sum(axis=0) for block in blocks])
        for each in (present, antecedent, consequent)
    )
    both = int((antecedent & consequent).sum())
    # Where one is always or never there, the count of both is fixed.
    free = (a > 0) & (a < n) & (c > 0) & (c < n)
    fixed = int(np.minimum(a, c)[~free].sum())
    n, a, c = n[free], a[free], c[free]
    needed = both - fixed - int(np.maximum(a + c - n, 0).sum())
    if needed <= 0:
        return 1.0
    return float(min(_compute_chances(n, a, c)[needed:].sum(), 1.0))


def _compute_chances(n: I64, a: I64, c: I64) -> F64:
    """Return the chances of each count of both above the least possible one, summed over strata.

    ``n``, ``a``, ``c``: transactions, those with the antecedent and those with the consequent of
    each stratum, (n_strata,), at least one stratum. The distribution of each is hypergeometric.
    """
    from scipy.stats import hypergeom

    least = np.maximum(a + c - n, 0)
    spread = np.minimum(a, c) - least
    together = least[:, None] + np.arange(int(spread.max()) + 1)
    chances = np.asarray(
        hypergeom.pmf(together, n[:, None], a[:, None], c[:, None]), dtype=np.float64
    )
    total = np.ones(1)
    for chance, width in zip(chances, spread, strict=True):
        total = np.convolve(total, chance[: width + 1])
    return total


def correct_p_values(p_values: F64, effects: F64) -> F64:
    """Return p-values whose chi-square with one degree of freedom is divided by the design effect.

    ``p_values``, ``effects``: (n_tested,).
    """
    from scipy.stats import norm

    z = np.minimum(norm.isf(p_values), FURTHEST_Z)
    corrected = norm.sf(z / np.sqrt(effects))
    return np.where(p_values < 0.5, corrected, p_values)


def compute_q_values(p_values: F64, *, hypotheses: int) -> F64:
    """Return the smallest false discovery rate at which each is a discovery, (n_tested,).

    Benjamini-Yekutieli (The control of the false discovery rate under dependency, 2001): rules
    share items, and those with "cold" and "mild" exclude each other, so that their tests depend on
    each other in ways that Benjamini-Hochberg does not allow. ``hypotheses``: how many there were;
    those without a p-value count as 1.
    """
    from scipy.stats import false_discovery_control

    if not len(p_values):
        return p_values
    rest = np.ones(max(hypotheses - len(p_values), 0))
    adjusted = false_discovery_control(np.concatenate([p_values, rest]), method="by")
    return np.asarray(adjusted, dtype=np.float64)[: len(p_values)]


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """How often a rule held in a window."""

    with_antecedent: int = 0
    """Transactions with the antecedent."""
    with_both: int = 0
    """Those of them with the consequent as well."""
    design_effect: float = 1.0
    """By how much days in spells widen the counts, at least 1."""

    @property
    def confidence(self) -> float | None:
        """Share of `with_both`; None where the antecedent did not occur."""
        return self.with_both / self.with_antecedent if self.with_antecedent else None


def compare_confidences(now: RuleCounts, before: RuleCounts) -> float:
    """Return the two-sided p that two confidences are one, by Fisher's exact test.

    Counts are divided by their design effect. 1 where either window lacks the antecedent.

    >>> compare_confidences(RuleCounts(40, 36), RuleCounts(40, 4)) < 1e-10
    True
    """
    from scipy.stats import fisher_exact

    if not now.with_antecedent or not before.with_antecedent:
        return 1.0
    rows = []
    for counts in (now, before):
        effective = max(round(counts.with_antecedent / counts.design_effect), 1)
        hits = min(round(counts.with_both / counts.design_effect), effective)
        rows.append([hits, effective - hits])
    return float(fisher_exact(np.array(rows)).pvalue)


def bound_confidence(with_antecedent: F64, with_both: F64, effects: F64) -> F64:
    """Return the lower bound of the confidence: Wilson's, 95 % on one side, on effective counts.

    ``with_antecedent``, ``with_both``: transactions of each rule, (n,); ``effects``: the design
    effects, (n,).
    """
    n = with_antecedent / effects
    z2 = WILSON_Z**2
    p = with_both / with_antecedent
    centre = p + z2 / (2 * n)
    spread = WILSON_Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (centre - spread) / (1 + z2 / n)
