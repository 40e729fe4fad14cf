"""Stable and canary on the same hours, and the verdict that follows."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from smartgrid_core.contracts.features import LoadFeatures
from smartgrid_core.features.load import FEATURES
from smartgrid_ml.evaluation.losses import LOSS_SCHEMA
from smartgrid_ml.promotion.canary_comparison import (
    CanaryComparison,
    compare_losses,
    compute_variant_losses,
    conclude_trial,
    judge_trial,
    pair_losses,
    reach_verdict,
)

FIRST = datetime(2026, 3, 1, tzinfo=UTC)


def features(days: int, *, feeders: int = 2, unknown: int = 0) -> pl.DataFrame:
    """Rows whose load is 10 kW, and unknown in the last hours."""
    schema = {name: LoadFeatures.create_empty().schema[name] for name in FEATURES}
    rows = pl.DataFrame(
        [
            {
                "feeder_id": f"F{feeder}",
                "issue_time": FIRST + timedelta(days=day),
                "hour_start": FIRST + timedelta(days=day, hours=hour),
                "load_kw": 10.0,
            }
            for day in range(days)
            for feeder in range(feeders)
            for hour in range(24)
        ]
    )
    is_known = pl.int_range(pl.len()) < pl.len() - unknown
    return rows.with_columns(
        pl.col("issue_time", "hour_start").cast(pl.Datetime("us", "UTC")),
        *(pl.lit(1).cast(kind).alias(name) for name, kind in schema.items()),
        load_kw=pl.when(is_known).then("load_kw"),
    )


def says(**by_version: float):
    """Each version says one number for every quantile of every row."""

    def ask(batch, version):
        n = len(batch[FEATURES[0]])
        assert {len(column) for column in batch.values()} == {n}
        return pl.DataFrame({q: [by_version[f"v{version}"]] * n for q in ("p10", "p50", "p90")})

    return ask


def paired_losses(rows, *, ask):
    return pair_losses(*compute_variant_losses(rows, ask=ask, stable=1, canary=2))


def test_both_versions_are_scored_on_the_same_feeder_hours_by_issue_time():
    losses = paired_losses(features(2, unknown=5), ask=says(v1=11.0, v2=8.0))
    # Mean of (1 - q) * 1 kW above, of q * 2 kW below, over q = 0.1, 0.5, 0.9.
    assert losses["issue_time"].to_list() == [FIRST, FIRST + timedelta(days=1)]
    assert losses["pairs"].to_list() == [48, 43]
    assert losses["stable_pinball"].to_list() == pytest.approx([0.5, 0.5])
    assert losses["canary_pinball"].to_list() == pytest.approx([1.0, 1.0])


def test_a_row_that_one_version_gives_no_forecast_for_counts_for_neither():
    losses = paired_losses(features(1), ask=says(v1=11.0, v2=np.nan))
    assert losses.is_empty()
    assert compare_losses(losses) == CanaryComparison(issues=0, pairs=0)
    nothing = paired_losses(features(1, unknown=48), ask=says())
    assert nothing.is_empty()


def losses(differences: list[float]) -> pl.DataFrame:
    """Issue times at which stable loses 1 kW and canary so much more."""
    days = [FIRST + timedelta(days=day) for day in range(len(differences))]
    return pl.DataFrame(
        {
            "issue_time": pl.Series(days, dtype=pl.Datetime("us", "UTC")),
            "pairs": [48] * len(days),
            "stable_pinball": [1.0] * len(days),
            "canary_pinball": [1.0 + difference for difference in differences],
        },
        schema_overrides={"pairs": pl.Int64},
    )


def test_an_issue_time_is_one_observation():
    compared = compare_losses(losses([-0.2, -0.1, -0.3, -0.2]))
    assert (compared.issues, compared.pairs) == (4, 192)
    assert (compared.first_issue, compared.last_issue) == (FIRST, FIRST + timedelta(days=3))
    assert (compared.stable_pinball, compared.canary_pinball) == pytest.approx((1.0, 0.8))
    assert compared.difference == pytest.approx(-0.2)
    assert -0.3 <= compared.interval_low < -0.2 < compared.interval_high <= -0.1
    assert compared.dm_statistic == pytest.approx(-0.2 / (np.std([0, 1, -1, 0], ddof=1) * 0.05))


NOISE = [0.1, -0.1, 0.05, -0.05, 0.08, -0.08, 0.0, 0.02, -0.02, 0.06, -0.06, 0.1, -0.1, 0.0]


@pytest.mark.parametrize(
    ("shift", "days", "decision", "words"),
    [
        (-0.5, 6, "keep", "6 of 7 issue times have their truth"),
        (-0.5, 7, "promote", r"better: canary's pinball loss is -0.5 kW against 1 kW over 7"),
        (+0.5, 7, "roll_back", r"worse: canary's pinball loss is \+0.5 kW"),
        (0.0, 13, "keep", "undecided"),
        (0.0, 14, "promote", "no worse at the end of its trial"),
        (0.009, 14, "promote", "no worse at the end of its trial"),
        (0.03, 14, "roll_back", "worse at the end of its trial"),
    ],
)
def test_the_verdict(shift: float, days: int, decision: str, words: str):
    noise = np.array(NOISE[:days]) - np.mean(NOISE[:days])
    outcome, reason = reach_verdict(compare_losses(losses(list(noise + shift))))
    assert outcome == decision
    assert re.match(words, reason), reason


def test_two_versions_that_say_the_same_end_their_trial_with_the_newer_one():
    assert reach_verdict(compare_losses(losses([0.0] * 14)))[0] == "promote"
    assert reach_verdict(compare_losses(losses([])))[0] == "keep"


def by_feeder(shift: float, days: int, *, coverage: float = 0.8) -> pl.DataFrame:
    """Losses of two feeders about 1 kW, more by so much; the days differ, the feeders do not."""
    rows = [
        {
            "series": feeder,
            "issue_time": FIRST + timedelta(days=day),
            "hours": 24,
            "pinball": 1.0 + shift + (NOISE[day] if shift else 0.0),
            "mae": 2.0,
            "coverage": coverage,
        }
        for day in range(days)
        for feeder in ("F1", "F2")
    ]
    return pl.DataFrame(rows, schema=dict(LOSS_SCHEMA))


def trial(stable: pl.DataFrame, canary: pl.DataFrame, *, calls: str | None = None):
    return judge_trial(
        compare_losses(pair_losses(stable, canary)), stable=stable, canary=canary, calls=calls
    )


def test_a_trial_is_judged_line_by_line():
    decision = trial(by_feeder(0.0, 10), by_feeder(-0.4, 10))
    assert decision.outcome == "promote"
    assert [(each.name, each.passed) for each in decision.conditions] == [
        ("compares_to_stable", True),
        ("coverage", True),
        ("worst_decile", True),
        ("calls", True),
    ]
    assert decision.reason.startswith("better: ")


@pytest.mark.parametrize(("days", "outcome"), [(10, "keep"), (14, "roll_back")])
@pytest.mark.parametrize(
    ("coverage", "calls", "words"),
    [
        (0.5, None, "50.0% of the hours lie within P10 to P90, 70% to 90% may"),
        (0.8, "a call takes 900 ms, of stable 10 ms (95th percentiles)", "a call takes 900 ms"),
    ],
)
def test_a_better_canary_with_another_fault_waits_and_goes_at_the_end(
    days, outcome, coverage, calls, words
):
    decision = trial(by_feeder(0.0, days), by_feeder(-0.4, days, coverage=coverage), calls=calls)
    assert decision.outcome == outcome
    assert words in decision.reason
    assert len(decision.failed) == 1


def test_a_band_that_is_wrong_and_no_worse_than_stables_is_no_reason_to_go_back():
    decision = trial(by_feeder(0.0, 14, coverage=0.95), by_feeder(-0.4, 14, coverage=0.93))
    assert decision.outcome == "promote"
    assert decision.conditions[1].sentence.endswith("; of stable's 95.0% do")


def test_a_canary_that_is_worse_is_rolled_back_whatever_else_is_good():
    decision = trial(by_feeder(0.0, 10), by_feeder(0.4, 10))
    assert decision.outcome == "roll_back"
    assert [each.name for each in decision.failed] == ["compares_to_stable", "worst_decile"]


def test_the_end_of_a_trial_is_a_decision_of_one_line():
    (line,) = conclude_trial(promoted=False, reason="half of its calls failed").conditions
    assert (line.name, line.passed, line.sentence) == ("trial", False, "half of its calls failed")
