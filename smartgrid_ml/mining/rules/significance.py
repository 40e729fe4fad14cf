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

from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

WILSON_Z = 1.6448536269514722
"""The standard normal's 95th percentile: a bound on one side."""

BLOCK_DAYS = 28
"""Days that are compared with each other: longer windows are cut into about so many."""

LEAST_DAYS = 3
"""Fewer shifts have no variance to speak of."""

FURTHEST_Z = 37.0
"""Where the normal tail leaves the numbers that a float can hold."""


def count_together_by_shift(antecedents: Bools, consequent: Bools) -> Floats:
    """Transactions with both, for every circular shift by whole days; (n_antecedents, n_days).

    Column 0 is no shift. ``antecedents``: (n_antecedents, n_days, n_slots); ``consequent``:
    (n_days, n_slots).
    """
    days = consequent.shape[0]
    first = np.fft.rfft(antecedents.astype(np.float64), axis=1)
    second = np.fft.rfft(consequent.astype(np.float64), axis=0)
    spectrum = (np.conj(first) * second[None]).sum(axis=2)
    return cast(Floats, np.round(np.fft.irfft(spectrum, n=days, axis=1)))


def estimate_design_effects(antecedents: Bools, consequent: Bools, *, present: Bools) -> Floats:
    """By how much days in spells widen the count of a pair, (n_antecedents,), at least 1.

    ``present``: (n_days, n_slots), where there is a transaction at all.
    """
    seen, independent = np.zeros(len(antecedents)), np.zeros(len(antecedents))
    for block in _split_days(consequent.shape[0]):
        some = antecedents[:, block], consequent[block], present[block]
        of_block = _compute_variances(*some)
        seen, independent = seen + of_block[0], independent + of_block[1]
    effect = np.divide(seen, independent, out=np.ones_like(seen), where=independent > 0)
    widened: Floats = np.maximum(effect, 1.0)
    return widened


def _split_days(days: int) -> list[slice]:
    """The days in spans of equal length, of about BLOCK_DAYS."""
    count = max(1, round(days / BLOCK_DAYS))
    edges = [round(number * days / count) for number in range(count + 1)]
    return [slice(first, behind) for first, behind in pairwise(edges)]


def _compute_variances(
    antecedents: Bools, consequent: Bools, present: Bools
) -> tuple[Floats, Floats]:
    """Of the counts of a block over all shifts, and of independent hours; (n_antecedents,) each."""
    days = consequent.shape[0]
    n = present.sum(axis=0).astype(np.float64)
    a, c = antecedents.sum(axis=1).astype(np.float64), consequent.sum(axis=0).astype(np.float64)
    slots = n**2 * np.maximum(n - 1, 1)
    parts = np.divide(a * (n - a) * c * (n - c), slots, out=np.zeros_like(a), where=n > 0)
    independent = cast(Floats, parts.sum(axis=1))
    if days < LEAST_DAYS:
        return independent, independent
    counts = count_together_by_shift(antecedents, consequent)[:, 1:]
    expected = (a * c / days).sum(axis=1)
    return cast(Floats, ((counts - expected[:, None]) ** 2).mean(axis=1)), independent


def compute_fisher_p(antecedent: Bools, consequent: Bools, *, present: Bools) -> float:
    """One-sided p of so many transactions with both or more, given the margins of every stratum.

    Arrays: (n_days, n_slots).
    """
    from scipy.stats import hypergeom

    blocks = _split_days(consequent.shape[0])
    n, a, c = (
        np.concatenate([each[block].sum(axis=0) for block in blocks])
        for each in (present, antecedent, consequent)
    )
    both = int((antecedent & consequent).sum())
    # Where one is always or never there, the count of both is fixed.
    free = (a > 0) & (a < n) & (c > 0) & (c < n)
    fixed = int(np.minimum(a, c)[~free].sum())
    n, a, c = n[free], a[free], c[free]
    least = np.maximum(a + c - n, 0)
    needed = both - fixed - int(least.sum())
    if needed <= 0:
        return 1.0
    spread = np.minimum(a, c) - least
    steps = np.arange(int(spread.max()) + 1)
    together = least[:, None] + steps
    chances = np.asarray(
        hypergeom.pmf(together, n[:, None], a[:, None], c[:, None]), dtype=np.float64
    )
    total = np.ones(1)
    for chance, width in zip(chances, spread, strict=True):
        total = np.convolve(total, chance[: width + 1])
    return float(min(total[needed:].sum(), 1.0))


def correct_p_values(p_values: Floats, effects: Floats) -> Floats:
    """p-values whose chi-square with one degree of freedom is divided by the design effect."""
    from scipy.stats import norm

    z = np.minimum(norm.isf(p_values), FURTHEST_Z)
    corrected = norm.sf(z / np.sqrt(effects))
    return np.where(p_values < 0.5, corrected, p_values)


def compute_q_values(p_values: Floats, *, hypotheses: int) -> Floats:
    """The smallest false discovery rate at which each is a discovery, (n_tested,).

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


def compare_confidences(now: tuple[int, int, float], before: tuple[int, int, float]) -> float:
    """Two-sided p that two confidences are one, by Fisher's exact test of two proportions.

    Each: transactions with the antecedent, those of them with both, design effect, by which both
    are divided. 1 where either has none: nothing can be said.
    """
    from scipy.stats import fisher_exact

    if not now[0] or not before[0]:
        return 1.0
    rows = []
    for present, both, effect in (now, before):
        effective = max(round(present / effect), 1)
        hits = min(round(both / effect), effective)
        rows.append([hits, effective - hits])
    return float(fisher_exact(np.array(rows)).pvalue)


def bound_confidence(present: Floats, both: Floats, effects: Floats) -> Floats:
    """Lower bound of the confidence: Wilson's, 95 % on one side, on the effective counts."""
    n = present / effects
    z2 = WILSON_Z**2
    p = both / present
    centre = p + z2 / (2 * n)
    spread = WILSON_Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (centre - spread) / (1 + z2 / n)
