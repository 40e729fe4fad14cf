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
        served = served.add_trial(version).give_label(version)
        served = served.promote() if served.canary else served
    return served


def test_the_first_version_is_stable_and_the_next_one_a_canary():
    first = NOTHING.add_trial(1)
    assert (first.versions, first.labels) == ((1,), {})
    first = first.give_label(1)
    assert (first.versions, first.labels) == ((1,), {"stable": 1})
    second = first.add_trial(2).give_label(2)
    assert (second.versions, second.labels) == ((1, 2), {"stable": 1, "canary": 2})


def test_a_promoted_canary_leaves_the_one_before_loaded_to_go_back_to():
    served = gone_live(1, 2)
    assert (served.versions, served.labels, served.previous) == ((1, 2), {"stable": 2}, 1)
    assert served.roll_back() == ServingState("m", (1,), stable=1)


def test_three_versions_that_were_stable_stay_loaded():
    served = gone_live(1, 2, 3, 4, 5)
    assert (served.versions, served.stable) == ((3, 4, 5), 5)
    assert served.roll_back().roll_back() == ServingState("m", (3,), stable=3)


def test_going_back_counts_by_who_was_stable_not_by_number():
    served = gone_live(1, 4, 3)
    assert (served.versions, served.previous) == ((1, 4, 3), 4)
    assert served.roll_back().labels == {"stable": 4}


def test_a_version_whose_trial_was_cut_short_gives_way_to_the_next():
    served = gone_live(1).add_trial(2)
    assert served.versions == (1, 2)
    assert served.add_trial(3).versions == (1, 3)
    assert served.drop_trial(2) == gone_live(1)


def test_what_is_or_was_labelled_is_not_let_go_of_with_a_trial():
    served = gone_live(1, 2).add_trial(3).give_label(3)
    assert [served.drop_trial(version) for version in (1, 2, 3)] == [served] * 3
    assert [served.add_trial(version) for version in (1, 2, 3)] == [served] * 3
    assert served.give_label(2) == served.give_label(3) == served


def test_a_canary_that_is_taken_back_leaves_stable_as_it_was():
    served = gone_live(1, 2).add_trial(3).give_label(3)
    assert served.drop_canary() == gone_live(1, 2)
    assert served.roll_back() == served.roll_back(2) == gone_live(1, 2)
    assert served.roll_back().roll_back() == served.roll_back(1) == gone_live(1)


def test_one_may_go_back_to_a_version_that_is_named():
    served = gone_live(2, 3, 5)
    assert served.roll_back(2) == ServingState("m", (2,), stable=2)
    assert served.roll_back(4) == ServingState("m", (2, 3, 4), stable=4)
    assert served.roll_back(1) == ServingState("m", (1,), stable=1)
    assert served.roll_back(2).roll_back(5).labels == {"stable": 5}


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (NOTHING.roll_back, "no version of m is stable yet"),
        (lambda: gone_live(7).roll_back(), "version 7 of m is the first that was stable"),
        (lambda: gone_live(1, 2).roll_back(2), "version 2 of m is already stable"),
        (lambda: gone_live(1).promote(), "m has no canary"),
        (lambda: gone_live(1).drop_canary(), "m has no canary"),
    ],
)
def test_a_move_that_cannot_be_made_says_why(move, words):
    with pytest.raises(PublicationError, match=words):
        move()


def test_what_was_loaded_stays_so_until_the_labels_have_moved():
    served = gone_live(1, 2)
    moving = served.roll_back().keep_loaded(served)
    assert (moving.versions, moving.labels) == ((1, 2), {"stable": 1})
    assert moving.drop_former() == served.roll_back()
    assert served.keep_loaded(served) == served.drop_former() == served


MOVES = {
    "offer": lambda served, version: served.add_trial(version),
    "label": lambda served, version: served.add_trial(version).give_label(version),
    "drop": lambda served, version: served.drop_trial(version),
    "promote": lambda served, version: served.promote(),
    "end": lambda served, version: served.drop_canary(),
    "back": lambda served, version: served.roll_back(),
    "back to": lambda served, version: served.roll_back(version),
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


def test_a_stable_version_that_is_not_loaded_yet_is_proven():
    assert ServingState("m", (), stable=3).proven == (3,)
    assert ServingState("m", (1, 2)).proven == ()


def test_dropping_a_labelled_version_leaves_the_trial_alone():
    served = gone_live(1, 2).add_trial(3)
    assert [served.drop_trial(version) for version in (1, 2)] == [served, served]
    assert served.versions == (1, 2, 3)
