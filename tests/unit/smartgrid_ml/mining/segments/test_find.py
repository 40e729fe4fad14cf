"""Segments of made-up consumers: who is in them, what they are called, what becomes of them."""

from datetime import date

import polars as pl
import pytest

from smartgrid_core.contracts.segments import ConsumerProfiles
from smartgrid_ml.mining.segments.find import Segments, find_segments
from smartgrid_ml.mining.segments.kmeans import LocalKMeans
from smartgrid_ml.mining.segments.outliers import find_outliers
from smartgrid_ml.mining.segments.report import render_segments, render_trials

DAY, NEXT_DAY, THIRD_DAY = date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)


def found(profiles: pl.DataFrame, *, day: date = DAY, **past) -> Segments:
    return find_segments(profiles, day=day, engine=LocalKMeans(), most=4, **past)


def after(*runs: Segments) -> dict[str, pl.DataFrame]:
    return {
        "history": pl.concat([run.history for run in runs]),
        "bands": pl.concat([run.bands for run in runs]),
    }


def kinds_of(run: Segments) -> dict[str, set[str]]:
    """Which made-up kinds each segment holds."""
    rows = run.members.with_columns(kind=pl.col("meter_id").str.split("-").list.first())
    return {
        segment: set(part["kind"])
        for (segment,), part in rows.partition_by("segment_id", as_dict=True).items()
    }


def test_kinds_of_consumers_are_segments_with_names_of_their_own(made_up_meters):
    run = found(made_up_meters(home=24, shop=14, boiler=9, feed_in=5))
    assert kinds_of(run) == {
        "S1": {"home"},
        "S2": {"shop"},
        "S3": {"boiler"},
        "FEED_IN": {"sun"},
    }
    names = dict(run.history.select("segment_id", "segment_name").rows())
    assert names["FEED_IN"] == "feed-in"
    assert names["S1"].startswith("evening peak")
    assert "weekday-heavy" in names["S2"]
    assert names["S3"].startswith("night peak, much at night")
    assert run.history["meters"].to_list() == [5, 24, 14, 9]
    assert run.history["state"].to_list() == ["new"] * 4
    assert run.members.filter(pl.col("segment_id") == "FEED_IN")["distance"].null_count() == 5
    assert run.chosen is not None
    assert (run.chosen.k, round(run.chosen.stability, 2)) == (3, 1.0)


def test_a_typical_day_is_a_band_in_multiples_of_the_mean(made_up_meters):
    run = found(made_up_meters(home=24, boiler=20))
    assert run.bands.height == 2 * 2 * 24
    at_seven = run.bands.filter(
        pl.col("segment_id") == "S1", pl.col("day_kind") == "weekday", pl.col("hour") == 19
    ).row(0, named=True)
    assert at_seven["p10"] < at_seven["p50"] < at_seven["p90"]
    assert at_seven["p50"] == run.bands.filter(pl.col("segment_id") == "S1")["p50"].max()
    assert at_seven["mean_kw"] == pytest.approx(at_seven["mean"] * 0.4, rel=0.2)


def test_the_same_day_again_says_the_same(made_up_meters):
    profiles = made_up_meters(home=24, shop=14)
    first = found(profiles)
    again = found(profiles.reverse(), **after(first))
    assert again.members.equals(first.members)
    assert again.history.equals(first.history)


def test_segments_keep_identity_and_name_while_their_sizes_change(made_up_meters):
    first = found(made_up_meters(home=24, shop=14, boiler=9))
    second = found(
        made_up_meters(home=9, shop=14, boiler=30, seed=2, noise=0.15), day=NEXT_DAY, **after(first)
    )
    assert kinds_of(second) == kinds_of(first)
    assert second.history["state"].to_list() == ["kept"] * 3
    assert second.history["segment_name"].equals(first.history["segment_name"])
    assert second.history["moved"].max() < 0.1


@pytest.mark.slow
def test_a_segment_that_ends_is_told_once_and_may_return(made_up_meters):
    first = found(made_up_meters(home=24, shop=14, boiler=9, feed_in=2))
    second = found(made_up_meters(home=24, shop=14), day=NEXT_DAY, **after(first))
    states = dict(second.history.select("segment_id", "state").rows())
    assert states == {"S1": "kept", "S2": "kept", "S3": "ended", "FEED_IN": "ended"}
    assert second.history.filter(pl.col("state") == "ended")["meters"].to_list() == [0, 0]
    third = found(made_up_meters(home=24, shop=14), day=THIRD_DAY, **after(first, second))
    assert third.history["segment_id"].to_list() == ["S1", "S2"]
    back = found(
        made_up_meters(home=24, boiler=9, feed_in=2), day=THIRD_DAY, **after(first, second)
    )
    states = dict(back.history.select("segment_id", "state").rows())
    assert states == {"S1": "kept", "S2": "ended", "S3": "returned", "FEED_IN": "returned"}


def test_a_handful_of_meters_is_one_segment(made_up_meters):
    run = found(made_up_meters(home=5))
    assert run.history.select("segment_id", "segment_name", "meters").rows() == [
        ("S1", "everyone", 5)
    ]
    assert run.reason == "5 meters are too few to tell apart, 20 are needed"
    assert render_trials(run.trials) == "no number of segments was tried"


@pytest.mark.parametrize("feed_in", [0, 3])
def test_without_consumers_there_is_at_most_feed_in(made_up_meters, feed_in):
    run = found(made_up_meters(feed_in=feed_in))
    assert run.members["segment_id"].to_list() == ["FEED_IN"] * feed_in
    assert run.bands.height == (48 if feed_in else 0)


def test_the_page_lists_the_largest_segment_first_and_the_ended_one_without_figures(made_up_meters):
    first = found(made_up_meters(home=24, boiler=9))
    second = found(made_up_meters(home=24), day=NEXT_DAY, **after(first))
    lines = render_segments(second.history).splitlines()
    assert lines[2].startswith("| S1 |")
    assert lines[3].startswith("| S2 |")
    assert "| ended | 0 | 0.0% |  |  |  |  |" in lines[3]


def test_a_meter_like_no_other_is_an_outlier_with_a_reason(made_up_meters):
    odd = made_up_meters(boiler=1, noise=0.0).with_columns(meter_id=pl.lit("odd"))
    profiles = pl.concat([made_up_meters(home=40), odd, made_up_meters(feed_in=3)])
    outliers = find_outliers(ConsumerProfiles.validate(profiles), day=DAY)
    first = outliers.rows.row(0, named=True)
    assert first["meter_id"] == "odd"
    assert first["score"] > 3
    assert "much at night" in first["reason"]
    assert first["reason"].endswith("night peak")
    assert not any(meter.startswith("sun") for meter in outliers.rows["meter_id"])


def test_more_meters_than_a_tree_takes_are_held_against_a_sample(made_up_meters, monkeypatch):
    monkeypatch.setattr("smartgrid_ml.mining.segments.outliers.MOST_WITHIN_TREE", 60)
    odd = made_up_meters(boiler=1, noise=0.0).with_columns(meter_id=pl.lit("zz"))
    profiles = ConsumerProfiles.validate(pl.concat([made_up_meters(home=99), odd]))
    for seed in range(3):
        outliers = find_outliers(profiles, day=DAY, seed=seed).rows
        assert outliers["meter_id"][0] == "zz"
        assert outliers.height <= 15


def test_a_few_profiles_have_no_rule_to_be_an_exception_to(made_up_meters):
    assert find_outliers(made_up_meters(home=5, boiler=1), day=DAY).rows.is_empty()
