"""Labels move in one step each, and there is always a way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_core.errors import PublicationError
from smartgrid_core.rollout.labels import KEPT_LOADED, ServingState

NOTHING = ServingState("m")


def gone_live(*versions: int) -> ServingState:
    """Each version offered, labelled, and promoted if it became canary."""
    served = NOTHING
    for version in versions:
        served = served.with_trial(version).with_label(version)
        served = served.promoted() if served.canary else served
    return served


def test_the_first_version_is_stable_and_the_next_one_a_canary():
    first = NOTHING.with_trial(1)
    assert (first.versions, first.labels) == ((1,), {})
    first = first.with_label(1)
    assert (first.versions, first.labels) == ((1,), {"stable": 1})
    second = first.with_trial(2).with_label(2)
    assert (second.versions, second.labels) == ((1, 2), {"stable": 1, "canary": 2})


def test_a_promoted_canary_leaves_the_one_before_loaded_to_go_back_to():
    served = gone_live(1, 2)
    assert (served.versions, served.labels, served.previous) == ((1, 2), {"stable": 2}, 1)
    assert served.rolled_back() == ServingState("m", (1,), stable=1)


def test_three_versions_that_were_stable_stay_loaded():
    served = gone_live(1, 2, 3, 4, 5)
    assert (served.versions, served.stable) == ((3, 4, 5), 5)
    assert served.rolled_back().rolled_back() == ServingState("m", (3,), stable=3)


def test_going_back_counts_by_who_was_stable_not_by_number():
    served = gone_live(1, 4, 3)
    assert (served.versions, served.previous) == ((1, 4, 3), 4)
    assert served.rolled_back().labels == {"stable": 4}


def test_a_version_whose_trial_was_cut_short_gives_way_to_the_next():
    served = gone_live(1).with_trial(2)
    assert served.versions == (1, 2)
    assert served.with_trial(3).versions == (1, 3)
    assert served.without_trial(2) == gone_live(1)


def test_what_is_or_was_labelled_is_not_let_go_of_with_a_trial():
    served = gone_live(1, 2).with_trial(3).with_label(3)
    assert [served.without_trial(version) for version in (1, 2, 3)] == [served] * 3
    assert [served.with_trial(version) for version in (1, 2, 3)] == [served] * 3
    assert served.with_label(2) == served.with_label(3) == served


def test_a_canary_that_is_taken_back_leaves_stable_as_it_was():
    served = gone_live(1, 2).with_trial(3).with_label(3)
    assert served.without_canary() == gone_live(1, 2)
    assert served.rolled_back() == served.rolled_back(2) == gone_live(1, 2)
    assert served.rolled_back().rolled_back() == served.rolled_back(1) == gone_live(1)


def test_one_may_go_back_to_a_version_that_is_named():
    served = gone_live(2, 3, 5)
    assert served.rolled_back(2) == ServingState("m", (2,), stable=2)
    assert served.rolled_back(4) == ServingState("m", (2, 3, 4), stable=4)
    assert served.rolled_back(1) == ServingState("m", (1,), stable=1)
    assert served.rolled_back(2).rolled_back(5).labels == {"stable": 5}


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (NOTHING.rolled_back, "no version of m is stable yet"),
        (lambda: gone_live(7).rolled_back(), "version 7 of m is the first that was stable"),
        (lambda: gone_live(1, 2).rolled_back(2), "version 2 of m is already stable"),
        (lambda: gone_live(1).promoted(), "m has no canary"),
        (lambda: gone_live(1).without_canary(), "m has no canary"),
    ],
)
def test_a_move_that_cannot_be_made_says_why(move, words):
    with pytest.raises(PublicationError, match=words):
        move()


def test_what_was_loaded_stays_so_until_the_labels_have_moved():
    served = gone_live(1, 2)
    moving = served.rolled_back().with_loaded(served)
    assert (moving.versions, moving.labels) == ((1, 2), {"stable": 1})
    assert moving.without_former() == served.rolled_back()
    assert served.with_loaded(served) == served.without_former() == served


MOVES = {
    "offer": lambda served, version: served.with_trial(version),
    "label": lambda served, version: served.with_trial(version).with_label(version),
    "drop": lambda served, version: served.without_trial(version),
    "promote": lambda served, version: served.promoted(),
    "end": lambda served, version: served.without_canary(),
    "back": lambda served, version: served.rolled_back(),
    "back to": lambda served, version: served.rolled_back(version),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.integers(1, 6)), max_size=30))
def test_whatever_is_done_labels_point_to_loaded_versions_and_few_are_loaded(moves):
    served = NOTHING
    for name, version in moves:
        try:
            served = MOVES[name](served, version)
        except PublicationError:
            continue
        assert set(served.labels.values()) <= set(served.versions)
        assert len(served.versions) == len(set(served.versions)) <= KEPT_LOADED + 2
        assert served.stable != served.canary or served.stable is None
        assert served.previous != served.stable or served.stable is None
