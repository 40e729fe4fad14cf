"""Stable against canary: both on the same feeder-hours, and what follows from it.

Each variant answers other feeders in production, and feeders differ by more than models do. So
both are asked once more for the same rows when their truth is known, and only their answers for the
same hours are compared. The conditions are those of the gate (`gate`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import polars as pl

from smartgrid_core.features.load import FEATURES
from smartgrid_ml.evaluation.losses import compute_losses_by_issue
from smartgrid_ml.evaluation.metrics import QUANTILE_COLUMNS
from smartgrid_ml.promotion.gate import (
    Condition,
    Decision,
    check_coverage,
    check_worst_decile,
)
from smartgrid_ml.promotion.paired_test import bootstrap_interval, compute_diebold_mariano
from smartgrid_ml.promotion.pairs import compute_paired_means

Verdict = Literal["promote", "keep", "roll_back"]

ENOUGH_ISSUES = 7
"""A week has every kind of day; before it there is no verdict."""

LAST_ISSUES = 14
"""A trial ends after two weeks: whoever is better so far stays."""

SIGNIFICANCE = 0.01
"""Stricter than 5 %, because the verdict is looked for every day."""

TIE_SHARE = 0.01
"""At the end a canary that is worse by less than 1 % still wins: it has learned from newer days."""

SEED = 20_260_301

AskVersion = Callable[[Mapping[str, Any], int], pl.DataFrame]
"""p10, p50, p90 in kW for float32 features (batch,), by the version named."""


@dataclass(frozen=True, slots=True)
class CanaryComparison:
    """Stable and canary on the same feeder-hours; as in `VariantComparisons`.

    With fewer than two issue times only their number and that of pairs are known.
    """

    issues: int
    """Issue times of which both have losses."""
    pairs: int
    """Feeder-hours that both were scored on."""
    first_issue: datetime | None = None
    """UTC."""
    last_issue: datetime | None = None
    """UTC."""
    stable_pinball: float | None = None
    """Mean pinball loss over the issue times, kW."""
    canary_pinball: float | None = None
    """Mean pinball loss over the issue times, kW."""
    difference: float | None = None
    """Canary less stable, kW: negative if the canary is better."""
    interval_low: float | None = None
    """Lower edge of the 95 % interval of the difference, kW."""
    interval_high: float | None = None
    """Upper edge of the 95 % interval of the difference, kW."""
    dm_statistic: float | None = None
    """Of the Diebold-Mariano test; None where it is infinite."""
    p_value: float | None = None
    """Of that test, two-sided."""


def compute_variant_losses(
    features: pl.DataFrame, *, ask: AskVersion, stable: int, canary: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return tables of losses of stable and of canary, on the same feeder-hours.

    Rows without truth, or that either variant gives no finite forecast for, count for neither.
    There is one call per version and issue time.

    Args:
        features: rows of `LoadFeatures`.
        ask: answers for a batch by a version.
        stable: number of the version that is the champion.
        canary: number of the version on trial.

    Returns:
        Losses of stable, losses of canary: one row per series and issue time.
    """
    known = features.filter(pl.col("load_kw").is_not_null())
    schema = {**_KEYS, **dict.fromkeys(QUANTILE_COLUMNS.values(), pl.Float64)}
    stable_answers, canary_answers = [pl.DataFrame(schema=schema)], [pl.DataFrame(schema=schema)]
    for issue in known.partition_by("issue_time", maintain_order=True):
        of_stable = _ask_variant(issue, ask=ask, version=stable)
        of_canary = _ask_variant(issue, ask=ask, version=canary)
        is_finite = of_stable["is_finite"] & of_canary["is_finite"]
        stable_answers.append(of_stable.filter(is_finite).select(*schema))
        canary_answers.append(of_canary.filter(is_finite).select(*schema))
    return (
        compute_losses_by_issue(pl.concat(stable_answers)),
        compute_losses_by_issue(pl.concat(canary_answers)),
    )


def pair_losses(stable: pl.DataFrame, canary: pl.DataFrame) -> pl.DataFrame:
    """Return losses by issue time: columns issue_time, pairs, stable_pinball, canary_pinball."""
    return compute_paired_means(stable, canary).select(
        "issue_time", pairs="hours", stable_pinball="pinball", canary_pinball="other"
    )


def compare_losses(losses: pl.DataFrame) -> CanaryComparison:
    """Compare rows of `pair_losses`: an issue time is one observation, however many feeders it has.

    The hours of one issue are forecast together and err together, so that their number says nothing
    about how sure the mean is; issue times follow each other one step ahead.
    """
    issues, pairs = losses.height, int(losses["pairs"].sum())
    if issues < 2:
        return CanaryComparison(issues, pairs)
    stable, canary = losses["stable_pinball"].to_numpy(), losses["canary_pinball"].to_numpy()
    differences = canary - stable
    low, high = bootstrap_interval(differences, seed=SEED)
    test = compute_diebold_mariano(differences)
    return CanaryComparison(
        issues=issues,
        pairs=pairs,
        first_issue=losses["issue_time"][0],
        last_issue=losses["issue_time"][-1],
        stable_pinball=float(stable.mean()),
        canary_pinball=float(canary.mean()),
        difference=float(differences.mean()),
        interval_low=low,
        interval_high=high,
        dm_statistic=test.statistic if np.isfinite(test.statistic) else None,
        p_value=test.p_value,
    )


def judge_trial(
    comparison: CanaryComparison, *, stable: pl.DataFrame, canary: pl.DataFrame, calls: str | None
) -> Decision:
    """Promote, keep or roll back by the comparison and the gate's other conditions, line by line.

    Args:
        comparison: what `compare_losses` made of the two tables.
        stable: losses of the champion, a row per series and issue time.
        canary: losses of the version on trial.
        calls: why the canary's calls are worse than stable's, in words
            (`smartgrid_core.rollout.canary.describe_regression`); None if they are not.

    Returns:
        The decision with the condition `compares_to_stable` first.
    """
    others = [
        check_coverage(canary, stable=stable),
        check_worst_decile(canary, stable),
        Condition("calls", calls is None, None, None, calls or "its calls are as good as stable's"),
    ]
    outcome, reason = reach_verdict(comparison, others=others)
    verdict, sentence = reach_verdict(comparison)
    line = Condition(
        "compares_to_stable", verdict != "roll_back", comparison.p_value, SIGNIFICANCE, sentence
    )
    return Decision(outcome, (line, *others), reason)


def conclude_trial(*, promoted: bool, reason: str) -> Decision:
    """Return the end of a trial as a decision of one line, whoever called for it and why.

    >>> conclude_trial(promoted=False, reason="half of its calls failed").outcome
    'roll_back'
    """
    outcome: Verdict = "promote" if promoted else "roll_back"
    return Decision(outcome, (Condition("trial", promoted, None, None, reason),), reason)


def reach_verdict(
    comparison: CanaryComparison, *, others: Sequence[Condition] = ()
) -> tuple[Verdict, str]:
    """Return whether to promote the canary, keep both, or roll it back; and why, in words.

    A canary that would be promoted and misses one of the `others` stays on trial, and is rolled
    back at its end.
    """
    verdict, reason = _judge_by_loss(comparison)
    missed = "; ".join(each.sentence for each in others if not each.passed)
    if verdict != "promote" or not missed:
        return verdict, reason
    if comparison.issues < LAST_ISSUES:
        return "keep", f"undecided: {missed}; {reason}"
    return "roll_back", f"not good enough at the end of its trial: {missed}; {reason}"


def _judge_by_loss(comparison: CanaryComparison) -> tuple[Verdict, str]:
    """Return the verdict by the losses alone, and the reason in words.

    After ENOUGH_ISSUES a difference decides that is significant and whose interval excludes zero;
    after LAST_ISSUES the better one does, the canary in a tie.
    """
    if (
        comparison.issues < ENOUGH_ISSUES
        or comparison.difference is None
        or comparison.stable_pinball is None
        or comparison.interval_low is None
        or comparison.interval_high is None
        or comparison.p_value is None
    ):
        return "keep", f"{comparison.issues} of {ENOUGH_ISSUES} issue times have their truth"
    loss = (
        f"canary's pinball loss is {comparison.difference:+.4g} kW against "
        f"{comparison.stable_pinball:.4g} kW over {comparison.issues} issue times "
        f"(95 % interval {comparison.interval_low:+.4g} to {comparison.interval_high:+.4g}, "
        f"p = {comparison.p_value:.3g})"
    )
    if comparison.p_value < SIGNIFICANCE and comparison.interval_high < 0:
        return "promote", f"better: {loss}"
    if comparison.p_value < SIGNIFICANCE and comparison.interval_low > 0:
        return "roll_back", f"worse: {loss}"
    if comparison.issues < LAST_ISSUES:
        return "keep", f"undecided: {loss}"
    if comparison.difference <= TIE_SHARE * comparison.stable_pinball:
        return "promote", f"no worse at the end of its trial: {loss}"
    return "roll_back", f"worse at the end of its trial: {loss}"


_KEYS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.String,
    "issue_time": pl.Datetime("us", "UTC"),
    "actual": pl.Float64,
}


def _ask_variant(issue: pl.DataFrame, *, ask: AskVersion, version: int) -> pl.DataFrame:
    """Return a version's answers for every row, with their truth and whether they are finite."""
    batch = {name: issue[name].cast(pl.Float32).to_numpy() for name in FEATURES}
    quantiles = list(QUANTILE_COLUMNS.values())
    answers = ask(batch, version).select(pl.col(quantiles).cast(pl.Float64))
    keys = issue.select(series="feeder_id", issue_time="issue_time", actual="load_kw")
    return pl.concat([keys, answers], how="horizontal").with_columns(
        is_finite=pl.all_horizontal(pl.col(quantiles).is_finite().fill_null(False))
    )
