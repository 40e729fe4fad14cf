"""Stable against canary: both on the same feeder-hours, and what follows from it.

Each variant answers other feeders in production, and feeders differ by more than models do. So
both are asked once more for the same rows when their truth is known, and only what they would have
said of the same hours is compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import polars as pl

from smartgrid_core.features.load import FEATURES
from smartgrid_ml.evaluation.metrics import COLUMNS, pinball_loss
from smartgrid_ml.evaluation.paired import bootstrap_interval, diebold_mariano

Decision = Literal["promote", "keep", "roll_back"]

ENOUGH_ISSUES = 7
"""A week has every kind of day; before it there is no verdict."""

LAST_ISSUES = 14
"""A trial ends after two weeks: whoever is better so far stays."""

SIGNIFICANCE = 0.01
"""Stricter than 5 %, because the verdict is looked for every day."""

TIE = 0.01
"""At the end a canary that is worse by less than 1 % still wins: it has learned from newer days."""

SEED = 20_260_301

AskVersion = Callable[[Mapping[str, Any], int], pl.DataFrame]
"""p10, p50, p90 in kW for float32 features (batch,), by the version named."""


@dataclass(frozen=True, slots=True)
class Comparison:
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


def paired_losses(
    features: pl.DataFrame, *, ask: AskVersion, stable: int, canary: int
) -> pl.DataFrame:
    """Mean pinball loss of each variant per issue time, kW: columns issue_time, pairs, both losses.

    `features` are rows of `LoadFeatures`; those without truth, or that either variant gives no
    finite forecast for, count for neither. One call per version and issue time.
    """
    known = features.filter(pl.col("load_kw").is_not_null())
    losses = [
        pl.DataFrame(
            {
                "issue_time": issue["issue_time"],
                "stable_pinball": _losses(issue, ask=ask, version=stable),
                "canary_pinball": _losses(issue, ask=ask, version=canary),
            }
        )
        for issue in known.partition_by("issue_time", maintain_order=True)
    ]
    if not losses:
        return pl.DataFrame(schema=_LOSSES)
    both = pl.concat(losses).filter(
        pl.col("stable_pinball").is_finite() & pl.col("canary_pinball").is_finite()
    )
    means = both.group_by("issue_time").agg(
        pairs=pl.len(),
        stable_pinball=pl.col("stable_pinball").mean(),
        canary_pinball=pl.col("canary_pinball").mean(),
    )
    return means.select(pl.col(name).cast(kind) for name, kind in _LOSSES.items()).sort(
        "issue_time"
    )


def compare(losses: pl.DataFrame) -> Comparison:
    """Judge rows of `paired_losses`: an issue time is one observation, however many feeders it has.

    The hours of one issue are forecast together and err together, so that their number says nothing
    about how sure the mean is; issue times follow each other one step ahead.
    """
    issues, pairs = losses.height, int(losses["pairs"].sum())
    if issues < 2:
        return Comparison(issues, pairs)
    stable, canary = losses["stable_pinball"].to_numpy(), losses["canary_pinball"].to_numpy()
    differences = canary - stable
    low, high = bootstrap_interval(differences, seed=SEED)
    test = diebold_mariano(differences)
    return Comparison(
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


def verdict(comparison: Comparison) -> tuple[Decision, str]:
    """Whether to promote the canary, keep both, or roll it back; and why, in words.

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
    if figures.difference <= TIE * figures.stable_pinball:
        return "promote", f"no worse at the end of its trial: {loss}"
    return "roll_back", f"worse at the end of its trial: {loss}"


_LOSSES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "issue_time": pl.Datetime("us", "UTC"),
    "pairs": pl.Int64,
    "stable_pinball": pl.Float64,
    "canary_pinball": pl.Float64,
}


def _losses(issue: pl.DataFrame, *, ask: AskVersion, version: int) -> pl.Series:
    """Mean pinball loss over P10, P50, P90 of every row, kW; null or NaN without a forecast."""
    asked = {name: issue[name].cast(pl.Float32).to_numpy() for name in FEATURES}
    said = ask(asked, version).select(pl.col(*COLUMNS.values()).cast(pl.Float64))
    return (
        said.with_columns(actual=issue["load_kw"])
        .select(
            pl.mean_horizontal(
                pinball_loss(quantile, forecast=pl.col(column), actual=pl.col("actual"))
                for quantile, column in COLUMNS.items()
            )
        )
        .to_series()
    )
