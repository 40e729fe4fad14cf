"""Judgements on profiles and outliers: they speak for most meters, and odd ones are few."""

import polars as pl

from smartgrid_core.checks.consumers import judge_consumer_outliers, judge_consumer_profiles


def meters(number: int, *, first: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        {"meter_id": [f"M{place}" for place in range(first, first + number)]},
        schema={"meter_id": pl.String},
    )


def test_profiles_of_most_meters_are_right():
    outcome = judge_consumer_profiles(meters(5), meters=10)
    assert outcome.passed
    assert outcome.figures == {"meters": 10, "profiles": 5, "share": 0.5}


def test_profiles_of_few_meters_are_a_warning():
    outcome = judge_consumer_profiles(meters(4), meters=10)
    assert outcome.warnings == ("only 40% of the meters have a profile, 50% are needed",)


def test_a_grid_without_meters_is_right():
    assert judge_consumer_profiles(meters(0), meters=0).passed


def test_a_few_outliers_among_many_are_right():
    outcome = judge_consumer_outliers(meters(4), profiles=meters(20))
    assert outcome.passed
    assert outcome.figures == {"outliers": 4, "profiles": 20, "share": 0.2}


def test_outliers_everywhere_are_a_warning():
    (fault,) = judge_consumer_outliers(meters(5), profiles=meters(20)).warnings
    assert fault.startswith("25% of the meters are outliers")


def test_of_a_handful_of_meters_no_share_is_judged():
    assert judge_consumer_outliers(meters(5), profiles=meters(6)).passed
    assert judge_consumer_outliers(meters(0), profiles=meters(0)).passed


def test_an_outlier_without_a_profile_is_a_warning():
    outcome = judge_consumer_outliers(meters(1, first=99), profiles=meters(20))
    assert outcome.warnings == ("1 outliers have no profile: M99",)
