"""How many segments there are, and who belongs to which."""

import numpy as np
import pytest

from smartgrid_ml.mining.segments.kmeans import (
    MINI_BATCH_FROM,
    ClusterTrial,
    LocalKMeans,
    assign_points,
    choose_cluster_count,
    try_cluster_counts,
)


def crowds(*sizes: int, seed: int = 1, spread: float = 0.05) -> np.ndarray:
    """Crowds around the corners of a simplex, one apart."""
    random = np.random.default_rng(seed)
    corners = np.eye(len(sizes))
    return np.vstack(
        [
            random.normal(corner, spread, (n, len(sizes)))
            for corner, n in zip(corners, sizes, strict=True)
        ]
    ).astype(np.float32)


def trial(
    k: int, *, stability: float, smallest: float = 0.2, silhouette: float = 0.5
) -> ClusterTrial:
    return ClusterTrial(k, stability, silhouette, smallest, round(100 * smallest))


def test_three_crowds_are_three_segments():
    numbers = try_cluster_counts(crowds(60, 40, 30), seed=7, most=5)
    assert [each.k for each in numbers] == [2, 3, 4, 5]
    k, reason = choose_cluster_count(numbers)
    assert k == 3
    assert reason == "3 is the most of the stable numbers (1.00 of 1)"


def test_the_best_silhouette_does_not_choose():
    numbers = [
        trial(2, stability=1.0, smallest=0.01, silhouette=0.84),
        trial(3, stability=0.9, silhouette=0.2),
        trial(4, stability=0.5, silhouette=0.6),
    ]
    assert choose_cluster_count(numbers)[0] == 3


def test_where_nothing_is_stable_the_sentence_says_so():
    k, reason = choose_cluster_count([trial(2, stability=0.6), trial(3, stability=0.7)])
    assert k == 3
    assert reason == (
        "no number of segments is stable (0.8), 3 is nearest to it (0.70):"
        " the segments shade into each other"
    )


def test_a_crowd_that_falls_apart_differently_with_every_draw_is_one_segment():
    k, reason = choose_cluster_count([trial(2, stability=0.3), trial(3, stability=0.2)])
    assert k == 1
    assert reason.endswith("2 is nearest to it (0.30): it is one crowd")


def test_where_every_split_takes_single_meters_off_there_is_one_segment():
    k, reason = choose_cluster_count([trial(2, stability=1.0, smallest=0.01)])
    assert (k, reason) == (1, "every split leaves a segment below 3% of the meters")


@pytest.mark.parametrize(
    ("two", "four", "chosen"),
    [(0.94, 0.83, 3), (0.8, 0.9, 4), (0.97, 0.7, 2)],
    ids=["about as stable", "more segments are no less stable", "much less stable"],
)
def test_the_number_of_the_last_run_stays_while_it_is_about_as_stable(two, four, chosen):
    numbers = [trial(2, stability=two), trial(3, stability=0.86), trial(4, stability=four)]
    assert choose_cluster_count(numbers, last=3)[0] == chosen


def test_a_last_number_that_is_no_longer_stable_goes():
    assert choose_cluster_count([trial(2, stability=0.82), trial(3, stability=0.5)], last=3)[0] == 2


def test_equal_meters_are_no_two_segments():
    assert try_cluster_counts(np.ones((50, 4), dtype=np.float32), seed=7) == []
    assert choose_cluster_count([])[0] == 1


def test_a_meter_belongs_to_the_nearest_centre_and_the_margin_says_how_clearly():
    centres = np.array([[0.0, 0.0], [1.0, 0.0]], dtype=np.float32)
    nearest = assign_points(np.array([[0.25, 0.0], [1.0, 1.0]], dtype=np.float32), centres)
    assert nearest.labels.tolist() == [0, 1]
    np.testing.assert_allclose(nearest.distance, [0.25, 1.0], atol=1e-6)
    np.testing.assert_allclose(nearest.margin, [0.5, 2**0.5 - 1], atol=1e-6)
    assert np.isnan(assign_points(centres, centres[:1]).margin).all()


def test_batches_find_the_crowds_that_all_at_once_find():
    points = crowds(MINI_BATCH_FROM // 2, MINI_BATCH_FROM // 3, MINI_BATCH_FROM // 3)
    centres = LocalKMeans().find_centres(points, k=3, seed=7)
    np.testing.assert_allclose(centres[np.argmax(centres, axis=1).argsort()], np.eye(3), atol=0.01)
