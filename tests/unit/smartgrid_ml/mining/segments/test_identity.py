"""Who is who from run to run."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_ml.mining.segments.identity import KnownSegment, SegmentIdentity, identify_segments


def known(segment_id: str, x: float, *, is_alive: bool = True) -> KnownSegment:
    return KnownSegment(
        segment_id, f"name of {segment_id}", np.array([x, 0.0], np.float32), is_alive
    )


def at(*xs: float) -> np.ndarray:
    return np.array([[x, 0.0] for x in xs], dtype=np.float32).reshape(-1, 2)


def test_a_segment_that_moved_a_little_is_the_same():
    (found,) = identify_segments(at(0.05), [known("S1", 0.0)], limit=0.2)
    assert (found.segment_id, found.state, found.name) == ("S1", "kept", "name of S1")
    assert found.moved is not None
    assert abs(found.moved - 0.05) < 1e-6


def test_one_that_is_too_far_off_is_new_and_gets_a_number_never_used():
    found = identify_segments(
        at(0.9, 0.0), [known("S1", 0.0), known("S7", 5.0, is_alive=False)], limit=0.2
    )
    assert found[0] == SegmentIdentity("S8", "new")
    assert found[1].segment_id == "S1"


def test_all_together_move_least_even_if_one_could_move_less():
    found = identify_segments(at(0.10, 0.24), [known("S1", 0.0), known("S2", 0.12)], limit=0.3)
    assert [each.segment_id for each in found] == ["S1", "S2"]


def test_a_segment_that_had_ended_returns_under_its_name_unless_a_living_one_is_there():
    past = [known("S1", 0.0), known("S2", 0.5, is_alive=False), known("S3", 0.01, is_alive=False)]
    found = identify_segments(at(0.5, 0.01), past, limit=0.2)
    assert [(each.segment_id, each.state) for each in found] == [("S2", "returned"), ("S1", "kept")]


def test_the_first_run_numbers_its_segments():
    assert [each.segment_id for each in identify_segments(at(0.1, 0.2, 0.3), [])] == [
        "S1",
        "S2",
        "S3",
    ]
    assert identify_segments(at(), [known("S1", 0.0)]) == []


@given(
    places=st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True),
    seed=st.integers(0, 1000),
)
def test_the_order_in_which_segments_are_found_does_not_matter(places: list[int], seed: int):
    random = np.random.default_rng(seed)
    past = [known(f"S{n + 1}", place) for n, place in enumerate(places)]
    centres = at(*places) + random.normal(0, 0.02, (len(places), 2)).astype(np.float32)
    order = random.permutation(len(places))
    straight, shuffled = (
        identify_segments(centres, past),
        identify_segments(centres[order], past[::-1]),
    )
    assert [straight[row].segment_id for row in order] == [each.segment_id for each in shuffled]
    assert [each.segment_id for each in straight] == [each.segment_id for each in past]
