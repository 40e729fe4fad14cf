"""The gate: may a challenger take the place of the champion, and does a version keep it?

Pure. A challenger's losses come from the backtest, whose models were trained strictly before each
fold; the champion's from asking it for those of the same issue times that lie behind its training
data. So both are judged on days that neither had seen. Every condition is a line with its figure,
its bound and a sentence; the same lines judge a version on trial (`variants`).

Tables of losses are those of `losses`. Pairs are a series and issue time of which both sides
scored the same hours; one issue time is one observation, however many series it has.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from smartgrid_core.aggregates.feeder import GRID
from smartgrid_ml.promotion.paired_test import compute_diebold_mariano

Outcome = Literal["promote", "refuse", "keep", "roll_back"]


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
    """What was measured of a SavedModel; None for what could not be.

    `answer_ms` is the time for 1,000 rows in the process, `golden_difference` the largest of
    |served - offline| / max(1, |offline|) on its golden batch.
    """

    answer_ms: float | None
    size_mb: float | None
    golden_difference: float | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a decision; `figure` is None where it could not be had, `bound` without one."""

    name: str
    passed: bool
    figure: float | None
    bound: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a version, with every condition that was looked at."""

    outcome: Outcome
    conditions: tuple[Condition, ...]
    reason: str

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
    """Promote or refuse a challenger.

    `challenger` and `champion` are losses, `naive` losses with a column `model`. `champion` holds
    the issue times that it had not been trained on; None if there is none. Rows may come in any
    order. Of `naive_rows` each has to have losses: one that could not be scored is not beaten.
    """
    scored = set(naive["model"].unique())
    conditions = [
        *(
            Condition(f"beats_{name}", False, None, None, f"{name} was not scored to compare with")
            for name in naive_rows
            if name not in scored
        ),
        *(
            check_beats_rival(
                challenger,
                rows.drop("model"),
                rival=str(name),
                fewest=limits.fewest_issues,
                significance=limits.significance,
            )
            for (name,), rows in sorted(naive.partition_by("model", as_dict=True).items())
        ),
        _check_beats_champion(challenger, champion, limits=limits),
        check_coverage(challenger, limits=limits),
        check_worst_decile(challenger, champion, naive=naive, limits=limits),
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
    if naive.is_empty():
        conditions.insert(
            0,
            Condition("beats_naive", False, None, None, "no naive row was scored to compare with"),
        )
    return conclude_decision(conditions)


def conclude_decision(conditions: Sequence[Condition]) -> Decision:
    """Promote if every condition is met, refuse otherwise, and say which ones were not."""
    failed = [each.sentence for each in conditions if not each.passed]
    if failed:
        return Decision("refuse", tuple(conditions), "; ".join(failed))
    return Decision("promote", tuple(conditions), f"all {len(conditions)} conditions are met")


def check_beats_rival(
    challenger: pl.DataFrame,
    rival_losses: pl.DataFrame,
    *,
    rival: str,
    fewest: int,
    significance: float,
) -> Condition:
    """Whether the pinball loss is smaller than the rival's beyond chance, and in the mean at all.

    The figure is the one-sided p-value of the Diebold-Mariano test over issue times: how probable
    such an advantage is if there is none. Its bound is the level of significance. The test takes
    the differences of every series relative to its own mean loss, so that the largest of them does
    not drown the others; the mean loss in the unit of the series has to be smaller, too.
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
    how = "better than" if passed else "not better beyond chance than"
    sentence = (
        f"{how} {rival}: pinball loss {loss:.4g} against {other:.4g} over {means.height} issue "
        f"times, p = {p_value:.3g} of {significance:g} allowed"
    )
    return Condition(name, passed, p_value, significance, sentence)


def compute_relative_differences(one: pl.DataFrame, other: pl.DataFrame) -> pl.Series:
    """Per issue time in order: the mean over pairs of (one - other) / the mean loss of both.

    That mean is the series' own over all issue times, so that a series counts by how much of its
    loss is at stake; a series that neither lost anything on has no difference.
    """
    weight, loss, rival = pl.col("hours"), pl.col("pinball"), pl.col("pinball_other")
    size = (((loss + rival) * weight).sum() / (2 * weight.sum())).over("series")
    difference = pl.when(size > 0).then((loss - rival) / size).otherwise(0.0)
    return (
        pair_rows(one, other)
        .with_columns(difference=difference)
        .group_by("issue_time", maintain_order=True)
        .agg(difference=(pl.col("difference") * weight).sum() / weight.sum())
        .sort("issue_time")["difference"]
    )


def compute_paired_means(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Mean loss of either side per issue time over their pairs: issue_time, hours, pinball, other.

    In the order of time, whatever the order of rows; sums are taken over sorted rows, so that not
    even the last digit depends on it.
    """
    weight = pl.col("hours")
    return (
        pair_rows(one, other)
        .group_by("issue_time", maintain_order=True)
        .agg(
            hours=weight.sum(),
            pinball=(pl.col("pinball") * weight).sum() / weight.sum(),
            other=(pl.col("pinball_other") * weight).sum() / weight.sum(),
        )
        .sort("issue_time")
    )


def pair_rows(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Series and issue times of which both sides scored the same hours, in order."""
    return one.join(
        other.select("series", "issue_time", "hours", "pinball"),
        on=["series", "issue_time", "hours"],
        suffix="_other",
    ).sort("issue_time", "series")


def check_coverage(
    losses: pl.DataFrame, *, stable: pl.DataFrame | None = None, limits: GateLimits = GATE_LIMITS
) -> Condition:
    """Whether [P10, P90] holds about as many hours as it says; the bound is the nearer edge.

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
    """Whether the feeders that the champion serves worst are served no worse.

    A feeder's loss counts against its naive loss (the mean over the naive rows; Hyndman and
    Koehler, 2006, International Journal of Forecasting 22, 679-688), so that the largest feeders
    are not the worst by their size; without `naive` against the champion's mean loss of all. The
    worst decile is the tenth of the feeders with the largest such loss under the champion, the
    worst one of fewer than ten. The figure is the challenger's mean loss there over the champion's.
    """
    bound = 1 + limits.worst_decile_rise
    if champion is None:
        return Condition(name, True, None, bound, "no champion whose worst feeders could get worse")
    both = pair_rows(challenger, champion).filter(pl.col("series") != GRID)
    issues = both["issue_time"].n_unique()
    if issues < limits.fewest_unseen_issues:
        sentence = (
            f"worst decile of feeders not decided: {issues} issue times that both were judged on, "
            f"{limits.fewest_unseen_issues} are needed"
        )
        return Condition(name, False, None, bound, sentence)
    feeders = _average_by_series(both, "pinball", "pinball_other").with_columns(size=pl.lit(1.0))
    if naive is not None and naive.height:
        sizes = _average_by_series(
            naive.join(both, on=["series", "issue_time"], how="semi").sort(
                "model", "series", "issue_time"
            ),
            "pinball",
        ).select("series", size="pinball")
        feeders = feeders.drop("size").join(sizes.filter(pl.col("size") > 0), on="series")
    scaled = feeders.select(
        "series",
        one=pl.col("pinball") / pl.col("size"),
        other=pl.col("pinball_other") / pl.col("size"),
    ).sort("other", "series", descending=[True, False])
    worst = scaled.head(max(1, scaled.height // 10))
    before = float(worst["other"].sum())
    if not before > 0:
        sentence = "the worst feeders of the champion have no loss that could be compared"
        return Condition(name, False, None, bound, sentence)
    ratio = float(worst["one"].sum()) / before
    named = f"{worst.height} of {scaled.height} feeders"
    sentence = (
        f"the loss of the {named} that the champion serves worst is {ratio:.3g} times the "
        f"champion's, {bound:.3g} may be"
    )
    return Condition(name, ratio <= bound, ratio, bound, sentence)


def check_within_bound(name: str, figure: float | None, bound: float, words: str) -> Condition:
    """Whether a figure was had, is finite and does not exceed its bound."""
    if figure is None or not math.isfinite(figure):
        return Condition(name, False, None, bound, f"{name} could not be measured")
    return Condition(
        name, figure <= bound, figure, bound, f"{words.format(figure)}, {bound:g} may be"
    )


def _check_beats_champion(
    challenger: pl.DataFrame, champion: pl.DataFrame | None, *, limits: GateLimits
) -> Condition:
    if champion is None:
        words = "no champion answers yet: there is none to beat"
        return Condition("beats_champion", True, None, limits.significance, words)
    return check_beats_rival(
        challenger,
        champion,
        rival="champion",
        fewest=limits.fewest_unseen_issues,
        significance=limits.significance,
    )


def _compute_coverage(losses: pl.DataFrame) -> float | None:
    """The share of all hours; None for no hour."""
    ordered = losses.sort("series", "issue_time")
    hours = float(ordered["hours"].sum())
    return float((ordered["coverage"] * ordered["hours"]).sum()) / hours if hours else None


def _average_by_series(losses: pl.DataFrame, *columns: str) -> pl.DataFrame:
    weight = pl.col("hours")
    return losses.group_by("series", maintain_order=True).agg(
        (pl.col(column) * weight).sum() / weight.sum() for column in columns
    )
