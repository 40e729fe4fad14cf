"""What a segment is called."""

import pytest

from smartgrid_ml.mining.segments.traits import TraitScale, choose_name, name_peak

EVEN = TraitScale(
    mean=dict.fromkeys(("peaks", "night", "weekend", "varies", "midday", "level"), 1.0),
    deviation=dict.fromkeys(("peaks", "night", "weekend", "varies", "midday", "level"), 0.1),
)


def typical(**traits: float) -> dict[str, float]:
    usual = dict.fromkeys(("peaks", "night", "weekend", "varies", "midday", "level"), 1.0)
    return {**usual, "peak_hour": 19, **traits}


@pytest.mark.parametrize(
    ("hour", "words"),
    [
        (0, "night peak"),
        (7, "morning peak"),
        (12, "midday peak"),
        (17, "afternoon peak"),
        (19, "evening peak"),
        (23, "late-evening peak"),
    ],
)
def test_a_peak_is_called_by_its_part_of_the_day(hour, words):
    assert name_peak(hour) == words


def test_a_name_says_what_sets_apart_most_first():
    name = choose_name(typical(night=0.8, weekend=0.9, level=1.01), scale=EVEN, taken=set())
    assert name == "evening peak, little at night, weekday-heavy"


def test_what_everyone_does_is_not_worth_a_word():
    assert choose_name(typical(), scale=EVEN, taken=set()) == "evening peak"


def test_a_name_that_is_taken_gets_more_words_then_a_number():
    taken: set[str] = set()
    for _ in range(9):
        taken.add(choose_name(typical(night=1.2), scale=EVEN, taken=taken))
    assert len(taken) == 9
    assert {"evening peak, much at night", "evening peak, much at night (2)"} <= taken


def test_where_all_are_alike_nothing_sets_apart():
    alike = TraitScale(EVEN.mean, dict.fromkeys(EVEN.deviation, 0.0))
    assert choose_name(typical(night=5.0), scale=alike, taken=set()) == "evening peak"
