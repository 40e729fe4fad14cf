"""A canary is taken back at once for failing or being slow, and for nothing else."""

from datetime import UTC, datetime, timedelta

import polars as pl

from smartgrid_core.contracts.serving import PredictionLog
from smartgrid_core.rollout.canary import describe_regression

BEGAN = datetime(2026, 3, 3, tzinfo=UTC)


def log(*calls: tuple[str, str, float], feeders: int = 2) -> pl.DataFrame:
    """Calls as (variant, error or "", milliseconds), an hour apart, each with a few feeders."""
    rows = [
        {
            "request_id": f"call-{number}",
            "subject_id": f"F{feeder}",
            "variant": variant,
            "asked_at": BEGAN + timedelta(hours=number),
            "model": "m",
            "routed_to": variant,
            "model_version": None if error else {"stable": "1", "canary": "2"}[variant],
            "outcome": "failed" if error else "answered",
            "error": error or None,
            "rows": 24,
            "latency_ms": latency_ms,
        }
        for number, (variant, error, latency_ms) in enumerate(calls)
        for feeder in range(feeders)
    ]
    return PredictionLog.validate(
        pl.DataFrame(rows, schema=PredictionLog.create_empty().schema), cast=True
    )


STABLE, CANARY = ("stable", "", 20.0), ("canary", "", 20.0)
FAILED = ("canary", "UNAVAILABLE: away", 5.0)


def test_a_canary_that_does_as_well_as_stable_stays():
    assert describe_regression(log(*[STABLE, CANARY] * 20), version=2) is None
    assert describe_regression(log(), version=2) is None


def test_the_second_call_that_fails_is_enough_whatever_the_number_of_feeders():
    assert describe_regression(log(STABLE, FAILED, feeders=500), version=2) is None
    reason = describe_regression(log(STABLE, CANARY, STABLE, FAILED, STABLE, FAILED), version=2)
    assert reason == "67% of its calls failed, of stable's 0%; the last: UNAVAILABLE: away"


def test_the_last_failure_of_the_canary_is_named():
    first, last = ("canary", "INTERNAL: first", 5.0), ("canary", "INTERNAL: last", 5.0)
    calls = log(STABLE, first, STABLE, last, STABLE)
    reason = describe_regression(calls.reverse(), version=2)
    assert reason == "100% of its calls failed, of stable's 0%; the last: INTERNAL: last"


def test_rare_failures_are_borne():
    assert (
        describe_regression(log(*[CANARY] * 38, FAILED, FAILED, *[STABLE] * 5), version=2) is None
    )


def test_where_stable_fails_as_well_it_is_the_server_that_is_ill():
    ill = ("stable", "UNAVAILABLE: away", 5.0)
    assert describe_regression(log(*[ill, FAILED] * 4), version=2) is None


def test_a_canary_that_takes_twice_as_long_and_noticeably_so_is_taken_back():
    slow = ("canary", "", 250.0)
    reason = describe_regression(log(*[STABLE, slow] * 5), version=2)
    assert reason == "a call takes 250 ms, of stable 20 ms (95th percentiles)"
    assert describe_regression(log(*[STABLE, slow] * 4), version=2) is None, (
        "four calls say nothing yet"
    )
    assert describe_regression(log(*[STABLE, ("canary", "", 80.0)] * 5), version=2) is None


def test_a_canary_that_is_slower_by_less_than_twice_is_borne():
    calls = log(*[("stable", "", 300.0), ("canary", "", 450.0)] * 5)
    assert describe_regression(calls, version=2) is None


def test_an_earlier_canarys_answers_say_nothing_about_this_one():
    slow = ("canary", "", 250.0)
    assert describe_regression(log(*[STABLE, slow] * 5), version=3) is None
