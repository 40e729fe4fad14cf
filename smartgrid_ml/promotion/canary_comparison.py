"""Stable against canary: both on the same feeder-hours, and what follows from it.

Each variant answers other feeders in production, and feeders differ by more than models do. So
both are asked once more for the same rows when their truth is known, and only what they would have
said of the same hours is compared. The lines are those of the gate (`promotion`).
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
    compute_paired_means,
)
from smartgrid_ml.promotion.paired_test import bootstrap_interval, compute_diebold_mariano

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
    """Stable and canary on the same feeder-hours: fields as in `VariantComparisons`."""

    issues: int
    pairs: int
    first_issue: datetime | None = None
    last_issue: datetime | None = None
    stable_pinball: float | None = None
    canary_pinball: float | None = None
    difference: float | None = None
    interval_low: float | None = None
    interval_high: float | None = None
    dm_statistic: float | None = None
    p_value: float | None = None


def compute_variant_losses(
    features: pl.DataFrame, *, ask: AskVersion, stable: int, canary: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables of losses of stable and of canary, on the same feeder-hours.

    `features` are rows of `LoadFeatures`; those without truth, or that either variant gives no
    finite forecast for, count for neither. One call per version and issue time.
    """
    known = features.filter(pl.col("load_kw").is_not_null())
    said: dict[int, list[pl.DataFrame]] = {stable: [], canary: []}
    for issue in known.partition_by("issue_time", maintain_order=True):
        answers = {version: _ask_variant(issue, ask=ask, version=version) for version in said}
        both = answers[stable]["is_finite"] & answers[canary]["is_finite"]
        for version, answer in answers.items():
            said[version].append(answer.filter(both))
    nothing = pl.DataFrame(schema={**_KEYS, **dict.fromkeys(QUANTILE_COLUMNS.values(), pl.Float64)})
    one, other = (
        compute_losses_by_issue(pl.concat(said[version]) if said[version] else nothing)
        for version in (stable, canary)
    )
    return one, other


def pair_losses(stable: pl.DataFrame, canary: pl.DataFrame) -> pl.DataFrame:
    """Tables of losses by issue time: columns issue_time, pairs, stable_pinball, canary_pinball."""
    return compute_paired_means(stable, canary).select(
        "issue_time", pairs="hours", stable_pinball="pinball", canary_pinball="other"
    )


def compare_losses(losses: pl.DataFrame) -> CanaryComparison:
    """Judge rows of `paired`: an issue time is one observation, however many feeders it has.

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

    `stable` and `canary` are the tables of losses that were compared, `calls` says why the canary's
    calls are worse than stable's (`smartgrid_core.rollout.canary.describe_regression`), None if
    they are
    not.
    """
    figures = comparison
    others = [
        check_coverage(canary, stable=stable),
        check_worst_decile(canary, stable),
        Condition("calls", calls is None, None, None, calls or "its calls are as good as stable's"),
    ]
    outcome, reason = reach_verdict(comparison, others=others)
    alone, words = reach_verdict(comparison)
    line = Condition(
        "compares_to_stable", alone != "roll_back", figures.p_value, SIGNIFICANCE, words
    )
    return Decision(outcome, (line, *others), reason)


def conclude_trial(*, promoted: bool, reason: str) -> Decision:
    """The end of a trial as a decision of one line, whoever called for it and why."""
    outcome: Verdict = "promote" if promoted else "roll_back"
    return Decision(outcome, (Condition("trial", promoted, None, None, reason),), reason)


def reach_verdict(
    comparison: CanaryComparison, *, others: Sequence[Condition] = ()
) -> tuple[Verdict, str]:
    """Whether to promote the canary, keep both, or roll it back; and why, in words.

    A canary that would be promoted and misses one of the `others` stays on trial, and is rolled
    back at its end.
    """
    said, why = _judge_by_loss(comparison)
    missed = "; ".join(each.sentence for each in others if not each.passed)
    if said != "promote" or not missed:
        return said, why
    if comparison.issues < LAST_ISSUES:
        return "keep", f"undecided: {missed}; {why}"
    return "roll_back", f"not good enough at the end of its trial: {missed}; {why}"


def _judge_by_loss(comparison: CanaryComparison) -> tuple[Verdict, str]:
    """The verdict by the losses alone.

    After ENOUGH_ISSUES a difference decides that is significant and whose interval excludes zero;
    after LAST_ISSUES the better one does, the canary in a tie.
    """
    figures = comparison
    if (
        figures.issues < ENOUGH_ISSUES
        or figures.difference is None
        or figures.stable_pinball is None
        or figures.interval_low is None
        or figures.interval_high is None
        or figures.p_value is None
    ):
        return "keep", f"{figures.issues} of {ENOUGH_ISSUES} issue times have their truth"
    loss = (
        f"canary's pinball loss is {figures.difference:+.4g} kW against "
        f"{figures.stable_pinball:.4g} kW over {figures.issues} issue times "
        f"(95 % interval {figures.interval_low:+.4g} to {figures.interval_high:+.4g}, "
        f"p = {figures.p_value:.3g})"
    )
    if figures.p_value < SIGNIFICANCE and figures.interval_high < 0:
        return "promote", f"better: {loss}"
    if figures.p_value < SIGNIFICANCE and figures.interval_low > 0:
        return "roll_back", f"worse: {loss}"
    if figures.issues < LAST_ISSUES:
        return "keep", f"undecided: {loss}"
    if figures.difference <= TIE_SHARE * figures.stable_pinball:
        return "promote", f"no worse at the end of its trial: {loss}"
    return "roll_back", f"worse at the end of its trial: {loss}"


_KEYS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.String,
    "issue_time": pl.Datetime("us", "UTC"),
    "actual": pl.Float64,
}


def _ask_variant(issue: pl.DataFrame, *, ask: AskVersion, version: int) -> pl.DataFrame:
    """What a version says of every row, with its truth and whether it says it at all."""
    asked = {name: issue[name].cast(pl.Float32).to_numpy() for name in FEATURES}
    quantiles = list(QUANTILE_COLUMNS.values())
    said = ask(asked, version).select(pl.col(quantiles).cast(pl.Float64))
    keys = issue.select(series="feeder_id", issue_time="issue_time", actual="load_kw")
    return pl.concat([keys, said], how="horizontal").with_columns(
        is_finite=pl.all_horizontal(pl.col(quantiles).is_finite().fill_null(False))
    )
