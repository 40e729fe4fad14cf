"""The gate: whether a challenger may take the place of the champion, or a version keep it.

Pure. A challenger's losses come from the backtest, whose models were trained strictly before each
fold; the champion's from asking it for those of the same issue times that lie behind its training
data. So both are judged on days that neither had seen. Every condition is a line with its figure,
its bound and a sentence; the same lines judge a version on trial (`canary_comparison`).

Tables of losses are those of `smartgrid_ml/evaluation/losses.py`, their pairs those of `pairs`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from smartgrid_core.aggregates.feeder import GRID
from smartgrid_ml.promotion.paired_test import compute_diebold_mariano
from smartgrid_ml.promotion.pairs import (
    compute_paired_means,
    compute_relative_differences,
    compute_relative_losses,
    pair_rows,
)

Outcome = Literal["promote", "refuse", "keep", "roll_back"]
"""A challenger is promoted or refused; a version on trial promoted, kept or rolled back."""


@dataclass(frozen=True, slots=True)
class GateLimits:
    """The bounds of the gate, each with its reason."""

    significance: float = 0.05
    """One-sided, for the question is who is better. One candidate that is only as good as the
    champion passes once in twenty times, the best of six up to three times as often, and so does
    one that is trained every week: the trial that follows asks at 1 %."""

    fewest_issues: int = 3
    """Of the naive rows, in a first week of data too: of few issue times the t-distribution asks
    for the larger difference."""

    fewest_unseen_issues: int = 7
    """Of the champion: a week has every kind of day, and to stay is the safe answer."""

    coverage_low: float = 0.7
    coverage_high: float = 0.9
    """About the nominal 0.8: an eighth of it either way is more than a season moves a sound band,
    and a band that misses by more misleads whoever plans with P90."""

    worst_decile_rise: float = 0.05
    """A decile is few feeders on few days: its mean moves by some percent from chance alone."""

    answer_ms: float = 500.0
    """1,000 rows in the process: 10,000 feeders are 240,000 rows a day, two minutes of computing;
    an ensemble takes the sum of its members."""

    size_mb: float = 200.0
    """Five versions are loaded at a time at most, within a gigabyte."""

    golden_difference: float = 1e-4
    """float32 carries seven digits; four of them are what a change of trees or scaling alters."""


GATE_LIMITS = GateLimits()


@dataclass(frozen=True, slots=True)
class Artifact:
    """What was measured of a SavedModel; None for what could not be."""

    answer_ms: float | None
    """Milliseconds for 1,000 rows in the process."""
    size_mb: float | None
    """Of all its files."""
    golden_difference: float | None
    """The largest |served - offline| / max(1, |offline|) on its golden batch."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a decision."""

    name: str
    """As in the column `condition` of `PromotionDecisions`."""
    passed: bool
    """Whether the condition is met."""
    figure: float | None
    """What was measured; None where it could not be."""
    bound: float | None
    """What the figure is held against; None for a condition without one."""
    sentence: str
    """The result in words."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a version, with every condition that was looked at."""

    outcome: Outcome
    conditions: tuple[Condition, ...]
    """In the order in which they were looked at."""
    reason: str
    """The whole decision in words."""

    @property
    def failed(self) -> tuple[Condition, ...]:
        """The conditions that were not met."""
        return tuple(each for each in self.conditions if not each.passed)


def decide_promotion(
    challenger: pl.DataFrame,
    *,
    naive: pl.DataFrame,
    champion: pl.DataFrame | None,
    artifact: Artifact,
    naive_rows: Sequence[str] = (),
    limits: GateLimits = GATE_LIMITS,
) -> Decision:
    """Promote or refuse a challenger; the order of rows in the tables does not matter.

    Args:
        challenger: its losses, one row per series and issue time.
        naive: losses of the naive rows, with a column `model`.
        champion: its losses at issue times that it had not been trained on; None if there is no
            champion.
        artifact: what was measured of the challenger's SavedModel.
        naive_rows: names that must have losses: a row that could not be scored is not beaten.
        limits: the bounds.

    Returns:
        `promote` if every condition is met, else `refuse`; with all conditions.
    """
    return conclude_decision(
        [
            *_check_beats_naive(challenger, naive, naive_rows=naive_rows, limits=limits),
            _check_beats_champion(challenger, champion, limits=limits),
            check_coverage(challenger, limits=limits),
            check_worst_decile(challenger, champion, naive=naive, limits=limits),
            *_check_artifact(artifact, limits=limits),
        ]
    )


def conclude_decision(conditions: Sequence[Condition]) -> Decision:
    """Return a decision: promote if every condition is met, else refuse with what was not met.

    >>> conclude_decision([Condition("size_mb", True, 3.0, 200.0, "it has 3 MB")]).outcome
    'promote'
    """
    sentences = [each.sentence for each in conditions if not each.passed]
    if sentences:
        return Decision("refuse", tuple(conditions), "; ".join(sentences))
    return Decision("promote", tuple(conditions), f"all {len(conditions)} conditions are met")


def check_beats_rival(
    challenger: pl.DataFrame,
    rival_losses: pl.DataFrame,
    *,
    rival: str,
    fewest: int,
    significance: float,
) -> Condition:
    """Return whether the pinball loss is smaller than the rival's, beyond chance and in the mean.

    The figure is the one-sided p-value of the Diebold-Mariano test over issue times: how probable
    such an advantage is if there is none. Its bound is the level of significance. The test takes
    the differences of every series relative to its own mean loss, so that the largest of them does
    not drown the others; the mean loss in the unit of the series has to be smaller, too.

    Args:
        challenger: losses of the one that has to be better, a row per series and issue time.
        rival_losses: losses of the other; only pairs of the same hours count.
        rival: its name in the condition and in words.
        fewest: so many issue times both must have, 2 at least; with fewer the condition is not met.
        significance: the p-value has to be smaller.

    Returns:
        The condition `beats_<rival>`; its figure is None where it is not decided.
    """
    name = f"beats_{rival}"
    means = compute_paired_means(challenger, rival_losses)
    if means.height < max(2, fewest):
        sentence = (
            f"not decided against {rival}: {means.height} issue times that both were judged on, "
            f"{max(2, fewest)} are needed"
        )
        return Condition(name, False, None, significance, sentence)
    test = compute_diebold_mariano(
        compute_relative_differences(challenger, rival_losses).to_numpy()
    )
    loss, other = float(means["pinball"].mean()), float(means["other"].mean())  # type: ignore[arg-type]  # means of floats
    p_value = test.p_value / 2 if test.statistic <= 0 else 1 - test.p_value / 2
    passed = loss < other and p_value < significance
    comparison = "better than" if passed else "not better beyond chance than"
    sentence = (
        f"{comparison} {rival}: pinball loss {loss:.4g} against {other:.4g} over {means.height} "
        f"issue times, p = {p_value:.3g} of {significance:g} allowed"
    )
    return Condition(name, passed, p_value, significance, sentence)


def check_coverage(
    losses: pl.DataFrame, *, stable: pl.DataFrame | None = None, limits: GateLimits = GATE_LIMITS
) -> Condition:
    """Return whether [P10, P90] holds about as many hours as it says; the bound is the nearer edge.

    With losses of `stable`, a share that lies no further from the middle than its does passes, too:
    going back would mend nothing.
    """
    low, high = limits.coverage_low, limits.coverage_high
    middle = (low + high) / 2
    share = _compute_coverage(losses)
    if share is None:
        return Condition("coverage", False, None, low, "coverage is not known: no hour was scored")
    bound = low if share < middle else high
    sentence = f"{share:.1%} of the hours lie within P10 to P90, {low:.0%} to {high:.0%} may"
    usual = None if stable is None else _compute_coverage(stable)
    passed = low <= share <= high
    if not passed and usual is not None and abs(share - middle) <= abs(usual - middle):
        return Condition("coverage", True, share, bound, f"{sentence}; of stable's {usual:.1%} do")
    return Condition("coverage", passed, share, bound, sentence)


def check_worst_decile(
    challenger: pl.DataFrame,
    champion: pl.DataFrame | None,
    *,
    naive: pl.DataFrame | None = None,
    limits: GateLimits = GATE_LIMITS,
    name: str = "worst_decile",
) -> Condition:
    """Return whether the feeders that the champion serves worst are served no worse.

    The worst decile is the tenth of the feeders with the largest relative loss (as in
    `compute_relative_losses`) under the champion, the worst one of fewer than ten. The figure is
    the challenger's mean loss there over the champion's.

    Args:
        challenger: losses of the one that is judged, a row per series and issue time.
        champion: losses of the other; None if there is none, and the condition is met.
        naive: losses of the naive rows, with a column `model`, which tell large feeders from small
            ones; without them losses count as they are.
        limits: the bounds.
        name: of the condition.

    Returns:
        The condition; its figure is None where it is not decided.
    """
    bound = 1 + limits.worst_decile_rise
    if champion is None:
        return Condition(name, True, None, bound, "no champion whose worst feeders could get worse")
    pairs = pair_rows(challenger, champion).filter(pl.col("series") != GRID)
    n_issues = pairs["issue_time"].n_unique()
    if n_issues < limits.fewest_unseen_issues:
        sentence = (
            f"worst decile of feeders not decided: {n_issues} issue times that both were judged on,"
            f" {limits.fewest_unseen_issues} are needed"
        )
        return Condition(name, False, None, bound, sentence)
    feeders = compute_relative_losses(pairs, naive=naive)
    worst = feeders.head(max(1, feeders.height // 10))
    champion_loss = float(worst["other_loss"].sum())
    if not champion_loss > 0:
        sentence = "the worst feeders of the champion have no loss that could be compared"
        return Condition(name, False, None, bound, sentence)
    ratio = float(worst["loss"].sum()) / champion_loss
    sentence = (
        f"the loss of the {worst.height} of {feeders.height} feeders that the champion serves worst"
        f" is {ratio:.3g} times the champion's, {bound:.3g} may be"
    )
    return Condition(name, ratio <= bound, ratio, bound, sentence)


def check_within_bound(name: str, figure: float | None, bound: float, template: str) -> Condition:
    """Return whether a figure is known, finite and not beyond its bound.

    Args:
        name: of the condition.
        figure: what was measured; None if it could not be.
        bound: the figure may be as large.
        template: a sentence about the figure, with a place for it as in `str.format`.

    Returns:
        The condition.
    """
    if figure is None or not math.isfinite(figure):
        return Condition(name, False, None, bound, f"{name} could not be measured")
    return Condition(
        name, figure <= bound, figure, bound, f"{template.format(figure)}, {bound:g} may be"
    )


def _check_beats_naive(
    challenger: pl.DataFrame,
    naive: pl.DataFrame,
    *,
    naive_rows: Sequence[str],
    limits: GateLimits,
) -> list[Condition]:
    """Return a condition for each naive row; one that was not scored is not beaten.

    Args:
        challenger: its losses, one row per series and issue time.
        naive: losses of the naive rows, with a column `model`.
        naive_rows: names that must have losses.
        limits: the bounds.

    Returns:
        Rows without losses first, the others by name; before them one more if none was scored.
    """
    scored = set(naive["model"].unique())
    conditions = [
        Condition(f"beats_{name}", False, None, None, f"{name} was not scored to compare with")
        for name in naive_rows
        if name not in scored
    ]
    if naive.is_empty():
        sentence = "no naive row was scored to compare with"
        conditions.insert(0, Condition("beats_naive", False, None, None, sentence))
    by_name = sorted(naive.partition_by("model", as_dict=True).items())
    return conditions + [
        check_beats_rival(
            challenger,
            losses.drop("model"),
            rival=str(name),
            fewest=limits.fewest_issues,
            significance=limits.significance,
        )
        for (name,), losses in by_name
    ]


def _check_artifact(artifact: Artifact, *, limits: GateLimits) -> list[Condition]:
    """Return whether a SavedModel is fast, small and true enough: a condition for each."""
    return [
        check_within_bound(
            "answer_ms", artifact.answer_ms, limits.answer_ms, "1,000 rows take {:.3g} ms"
        ),
        check_within_bound(
            "size_mb", artifact.size_mb, limits.size_mb, "the SavedModel has {:.3g} MB"
        ),
        check_within_bound(
            "golden_batch",
            artifact.golden_difference,
            limits.golden_difference,
            "served and offline answers of the golden batch differ by {:.1e}",
        ),
    ]


def _check_beats_champion(
    challenger: pl.DataFrame, champion: pl.DataFrame | None, *, limits: GateLimits
) -> Condition:
    if champion is None:
        sentence = "no champion answers yet: there is none to beat"
        return Condition("beats_champion", True, None, limits.significance, sentence)
    return check_beats_rival(
        challenger,
        champion,
        rival="champion",
        fewest=limits.fewest_unseen_issues,
        significance=limits.significance,
    )


def _compute_coverage(losses: pl.DataFrame) -> float | None:
    """Return the share of all hours within P10 to P90; None for no hour."""
    ordered = losses.sort("series", "issue_time")
    hours = float(ordered["hours"].sum())
    return float((ordered["coverage"] * ordered["hours"]).sum()) / hours if hours else None
