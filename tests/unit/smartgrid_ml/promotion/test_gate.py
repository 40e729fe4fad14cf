"""The gate: who passes, who does not, and what every line says."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from smartgrid_ml.evaluation.losses import (
    LOSS_SCHEMA,
    compute_losses_by_issue,
    select_newest_backtests,
)
from smartgrid_ml.promotion.gate import (
    Artifact,
    check_beats_rival,
    check_coverage,
    check_worst_decile,
    decide_promotion,
)
from smartgrid_ml.promotion.pairs import compute_paired_means

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
SOUND = Artifact(answer_ms=20.0, size_mb=3.0, golden_difference=2e-7)
CONDITIONS = [
    "beats_mean_4_weeks",
    "beats_naive_24h",
    "beats_champion",
    "coverage",
    "worst_decile",
    "answer_ms",
    "size_mb",
    "golden_batch",
]


def losses(*, seed: int = 1, days: int = 14, feeders: int = 12, better_by: float = 0.0):
    """Losses about 1 kW of every feeder and day; a share of them less if it is better."""
    noise = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "series": [f"F{feeder:02}" for _ in range(days) for feeder in range(feeders)],
            "issue_time": [
                FIRST + timedelta(days=day) for day in range(days) for _ in range(feeders)
            ],
            "hours": 24,
            "pinball": noise.gamma(20.0, 0.05, days * feeders) * (1 - better_by),
            "mae": 2.0,
            "coverage": noise.uniform(0.75, 0.85, days * feeders),
        }
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in LOSS_SCHEMA.items())


def naive(**settings) -> pl.DataFrame:
    worse = losses(**settings).with_columns(pl.col("pinball") * 2)
    return pl.concat(
        worse.with_columns(pl.col("pinball") * more, model=pl.lit(name))
        for name, more in (("naive_24h", 1.1), ("mean_4_weeks", 1.0))
    )


def decided(challenger, champion, *, artifact=SOUND, against=None):
    return decide_promotion(
        challenger,
        naive=naive() if against is None else against,
        champion=champion,
        artifact=artifact,
    )


def line(decision, name):
    (condition,) = [each for each in decision.conditions if each.name == name]
    return condition


def test_a_challenger_that_is_better_everywhere_beyond_noise_is_promoted():
    decision = decided(losses(better_by=0.2), losses())
    assert decision.outcome == "promote"
    assert [each.name for each in decision.conditions] == CONDITIONS
    assert decision.reason == "all 8 conditions are met"
    assert line(decision, "worst_decile").figure == pytest.approx(0.8)
    assert line(decision, "beats_champion").sentence.startswith(
        "better than champion: pinball loss "
    )


def test_the_first_challenger_has_no_champion_to_beat():
    decision = decided(losses(), None)
    assert decision.outcome == "promote"
    assert line(decision, "beats_champion").sentence == (
        "no champion answers yet: there is none to beat"
    )


def test_too_few_days_that_the_champion_had_not_learned_from_leave_it_undecided():
    unseen = losses().filter(pl.col("issue_time") >= FIRST + timedelta(days=8))
    decision = decided(losses(better_by=0.5), unseen)
    assert decision.outcome == "refuse"
    assert [each.name for each in decision.failed] == ["beats_champion", "worst_decile"]
    assert decision.reason.startswith(
        "not decided against champion: 6 issue times that both were judged on, 7 are needed"
    )


def test_whoever_does_not_beat_every_naive_row_is_refused():
    good = pl.concat(
        [naive(), losses(seed=2, better_by=0.3).with_columns(model=pl.lit("naive_168h"))]
    )
    decision = decided(losses(), None, against=good)
    assert [each.name for each in decision.failed] == ["beats_naive_168h"]
    assert decision.failed[0].sentence.startswith("not better beyond chance than naive_168h")


def test_without_any_naive_row_nothing_is_promoted():
    decision = decided(losses(), None, against=naive().clear())
    assert [each.name for each in decision.failed] == ["beats_naive"]


@pytest.mark.parametrize(
    ("artifact", "name", "words"),
    [
        (Artifact(501.0, 3.0, 0.0), "answer_ms", "1,000 rows take 501 ms, 500 may be"),
        (Artifact(20.0, 250.0, 0.0), "size_mb", "the SavedModel has 250 MB, 200 may be"),
        (
            Artifact(20.0, 3.0, 2e-4),
            "golden_batch",
            "served and offline answers of the golden batch differ by 2.0e-04, 0.0001 may be",
        ),
        (Artifact(20.0, 3.0, float("nan")), "golden_batch", "golden_batch could not be measured"),
        (Artifact(None, 3.0, 0.0), "answer_ms", "answer_ms could not be measured"),
    ],
)
def test_what_is_slow_large_or_answers_otherwise_is_refused(artifact, name, words):
    decision = decided(losses(), None, artifact=artifact)
    assert [(each.name, each.sentence) for each in decision.failed] == [(name, words)]


@pytest.mark.parametrize(
    ("share", "passed"), [(0.69, False), (0.7, True), (0.9, True), (0.91, False)]
)
def test_a_band_that_holds_too_few_or_too_many_hours_is_refused(share: float, passed: bool):
    condition = check_coverage(losses().with_columns(coverage=pl.lit(share)))
    assert (condition.passed, condition.figure) == (passed, pytest.approx(share))


def test_a_better_mean_does_not_excuse_the_feeders_that_were_served_worst():
    champion = losses(feeders=20).with_columns(
        pinball=pl.when(pl.col("series").is_in(["F03", "F07"])).then(4.0).otherwise("pinball")
    )
    challenger = champion.with_columns(
        pinball=pl.col("pinball")
        * pl.when(pl.col("series").is_in(["F03", "F07"])).then(1.1).otherwise(0.5)
    )
    decision = decided(challenger, champion, against=naive(feeders=20).with_columns(pinball=8.0))
    assert [each.name for each in decision.failed] == ["worst_decile"]
    assert decision.failed[0].figure == pytest.approx(1.1)
    assert decision.failed[0].sentence == (
        "the loss of the 2 of 20 feeders that the champion serves worst is 1.1 times the "
        "champion's, 1.05 may be"
    )


def test_of_fewer_than_ten_feeders_the_worst_one_counts_and_the_whole_grid_is_no_feeder():
    champion = losses(feeders=3).with_columns(
        pl.col("series").replace({"F00": "grid"}),
        pinball=pl.col("series").replace_strict({"F00": 100.0, "F01": 1.0, "F02": 2.0}),
    )
    challenger = champion.with_columns(
        pinball=pl.col("series").replace_strict({"grid": 900.0, "F01": 9.0, "F02": 1.0})
    )
    condition = check_worst_decile(challenger, champion)
    assert (condition.passed, condition.figure) == (True, pytest.approx(0.5))


def test_the_largest_feeder_is_not_the_worst_by_its_size():
    """F01 loses ten times as much, but a naive forecast of it loses a hundred times as much."""
    size = pl.col("series").replace_strict({"F00": 1.0, "F01": 100.0})
    champion = losses(feeders=2).with_columns(
        pinball=pl.col("series").replace_strict({"F00": 0.9, "F01": 10.0})
    )
    challenger = champion.with_columns(
        pinball=pl.col("series").replace_strict({"F00": 0.9, "F01": 20.0})
    )
    sizes = losses(feeders=2).with_columns(pinball=size, model=pl.lit("naive_24h"))
    assert check_worst_decile(challenger, champion, naive=sizes).figure == pytest.approx(1.0)
    assert check_worst_decile(challenger, champion).figure == pytest.approx(2.0)


def test_the_largest_series_does_not_drown_the_others():
    noisy = {
        "pinball": pl.col("pinball") * pl.when(pl.col("series") == "F00").then(900).otherwise(1)
    }
    better = pl.col("pinball") * pl.when(pl.col("series") == "F00").then(0.999).otherwise(0.8)
    one, other = losses(seed=4).with_columns(pinball=better), losses(seed=3)
    one, other = one.with_columns(**noisy), other.with_columns(**noisy)
    condition = check_beats_rival(one, other, rival="it", fewest=3, significance=0.05)
    assert condition.figure < 0.001


def test_a_better_share_does_not_excuse_a_larger_loss_in_all():
    worse_grid = (
        pl.when(pl.col("series") == "F00").then(pl.col("pinball") * 500).otherwise("pinball")
    )
    other = losses(seed=1).with_columns(worse_grid)
    factor = pl.when(pl.col("series") == "F00").then(1.2).otherwise(0.7)
    condition = check_beats_rival(
        other.with_columns(pl.col("pinball") * factor),
        other,
        rival="it",
        fewest=3,
        significance=0.05,
    )
    assert (condition.passed, condition.figure < 0.05) == (False, True)


def test_a_series_on_which_neither_loses_anything_decides_nothing():
    perfect = pl.when(pl.col("series") == "F00").then(0.0).otherwise("pinball").alias("pinball")
    one, other = losses(seed=1).with_columns(perfect), losses(seed=2).with_columns(perfect)
    assert np.isfinite(
        check_beats_rival(one, other, rival="it", fewest=3, significance=0.05).figure
    )


def test_only_hours_that_both_scored_are_compared():
    partly = losses().with_columns(
        hours=pl.when(pl.col("series") == "F00").then(23).otherwise("hours").cast(pl.Int64)
    )
    assert set(compute_paired_means(losses(), partly)["hours"]) == {11 * 24}


@given(seed=st.integers(0, 10_000), days=st.integers(0, 30), feeders=st.integers(1, 25))
def test_a_challenger_that_equals_the_champion_never_passes(seed, days, feeders):
    same = losses(seed=seed, days=days, feeders=feeders)
    far = naive(seed=seed + 1, days=days, feeders=feeders)
    assert decided(same, same, against=far).outcome == "refuse"


@given(seed=st.integers(0, 10_000), factor=st.floats(1.0, 3.0))
def test_a_challenger_that_is_nowhere_better_never_passes(seed, factor):
    champion = losses(seed=seed)
    worse = champion.with_columns(pl.col("pinball") * factor)
    assert decided(worse, champion).outcome == "refuse"


@given(seed=st.integers(0, 10_000), days=st.integers(7, 30), feeders=st.integers(1, 25))
def test_one_that_is_better_in_every_feeder_and_day_passes(seed, days, feeders):
    settings = {"seed": seed, "days": days, "feeders": feeders}
    champion = losses(**settings)
    better = champion.with_columns(pl.col("pinball") * 0.7, coverage=pl.lit(0.8))
    far = naive(**settings)
    assert decided(better, champion, against=far).outcome == "promote"


@given(seed=st.integers(0, 10_000), shuffle=st.integers(0, 10_000))
def test_the_order_of_rows_changes_nothing(seed, shuffle):
    challenger, champion, far = losses(seed=seed, better_by=0.05), losses(seed=seed + 1), naive()
    straight = decided(challenger, champion, against=far)
    mixed = [
        frame.sample(fraction=1, shuffle=True, seed=shuffle)
        for frame in (challenger, champion, far)
    ]
    assert decided(mixed[0], mixed[1], against=mixed[2]) == straight


@pytest.mark.slow
def test_of_equally_good_challengers_a_twentieth_seems_better():
    passed = [
        check_beats_rival(
            losses(seed=2 * n, feeders=3),
            losses(seed=2 * n + 1, feeders=3),
            rival="champion",
            fewest=7,
            significance=0.05,
        ).passed
        for n in range(400)
    ]
    assert np.mean(passed) == pytest.approx(0.05, abs=0.03)


def test_the_p_value_is_that_of_the_one_sided_paired_t_test():
    one, other = losses(seed=1, feeders=1), losses(seed=2, feeders=1, better_by=0.03)
    means = compute_paired_means(one, other)
    for less, more in (("pinball", "other"), ("other", "pinball")):
        expected = stats.ttest_rel(means[less], means[more], alternative="less")
        sides = (one, other) if less == "pinball" else (other, one)
        condition = check_beats_rival(*sides, rival="it", fewest=3, significance=0.05)
        assert condition.figure == pytest.approx(expected.pvalue)


def forecasts() -> pl.DataFrame:
    """Two hours of one forecast, one of which lies outside the band, and two without a score."""
    return pl.DataFrame(
        {
            "model": "m",
            "series": "F1",
            "issue_time": FIRST,
            "p10": [9.0, 9.0, 9.0, None],
            "p50": [10.0, 10.0, 10.0, 10.0],
            "p90": [11.0, 11.0, 11.0, 11.0],
            "actual": [10.0, 14.0, None, 10.0],
        }
    ).with_columns(pl.col("issue_time").cast(pl.Datetime("us", "UTC")))


def test_a_forecasts_loss_is_the_mean_over_its_hours():
    # Hour 1: 0.1 * 1, 0, 0.1 * 1; hour 2: 0.1 * 5, 0.5 * 4, 0.9 * 3.
    assert compute_losses_by_issue(forecasts(), "model").to_dicts() == [
        {
            "model": "m",
            "series": "F1",
            "issue_time": FIRST,
            "hours": 2,
            "pinball": pytest.approx((0.2 / 3 + 5.2 / 3) / 2),
            "mae": 2.0,
            "coverage": 0.5,
        }
    ]
    assert dict(compute_losses_by_issue(forecasts().clear()).schema) == dict(LOSS_SCHEMA)


def test_the_newest_backtests_are_kept():
    rows = pl.DataFrame(
        {
            "backtest_id": ["b", "a", "c", "d", "d"],
            "scored_at": [FIRST + timedelta(days=day) for day in (2, 1, 3, 0, 4)],
        }
    )
    assert select_newest_backtests(rows, most=2)["backtest_id"].to_list() == ["c", "d", "d"]


def test_a_naive_row_that_could_not_be_scored_is_not_beaten():
    decision = decide_promotion(
        losses(),
        naive=naive(),
        champion=None,
        artifact=SOUND,
        naive_rows=["naive_24h", "mean_4_weeks", "naive_168h"],
    )
    assert decision.outcome == "refuse"
    assert [each.name for each in decision.failed] == ["beats_naive_168h"]
