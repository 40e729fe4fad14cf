"""Attempts: a fact is requested again while it lasts, and given up in the end."""

from hypothesis import given
from hypothesis import strategies as st

from sensors.polling import MOST_ATTEMPTS, plan_attempts, read_cursor, write_cursor


def test_a_fact_that_lasts_is_requested_under_another_key_and_then_given_up():
    cursor: dict[str, int] = {}
    requested = []
    keys = set()
    for _ in range(MOST_ATTEMPTS + 2):
        attempts = plan_attempts("land", ["a"], before=cursor)
        requested.append(attempts.facts)
        keys.add(attempts.run_key)
        cursor = attempts.cursor
    assert requested == [["a"]] * MOST_ATTEMPTS + [[]] * 2
    assert len(keys) == MOST_ATTEMPTS + 1
    assert cursor == {"a": MOST_ATTEMPTS}


def test_a_fact_that_is_gone_is_forgotten():
    assert plan_attempts("land", ["b"], before={"a": 3}).cursor == {"b": 1}


def test_without_a_limit_nothing_is_given_up():
    assert plan_attempts("deliver", ["a"], before={"a": 99}, most=None).facts == ["a"]


def test_what_does_not_fit_the_batch_waits_unspent():
    attempts = plan_attempts("land", ["a", "b", "c"], before={"c": 1}, batch=2)
    assert (attempts.facts, attempts.cursor) == (["a", "b"], {"a": 1, "b": 1, "c": 1})


@given(st.lists(st.text(min_size=1), unique=True), st.dictionaries(st.text(), st.integers(0, 5)))
def test_the_same_tick_asks_for_the_same_run(facts, before):
    first, again = (plan_attempts("land", facts, before=before) for _ in range(2))
    assert first == again
    assert read_cursor(write_cursor(first.cursor)) == first.cursor
