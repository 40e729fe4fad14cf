"""DBSCAN in little memory says what scikit-learn's says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from smartgrid_ml.mining.segments import dbscan as density
from smartgrid_ml.mining.segments.dbscan import (
    NOISE,
    choose_min_samples,
    cluster_by_density,
    find_knee,
    measure_neighbour_distances,
    reduce_dimensions,
)


def clouds(seed: int) -> np.ndarray:
    """Six clouds of different size and density, and points between them."""
    random = np.random.default_rng(seed)
    parts = [
        random.normal(centre, spread, (count, 3))
        for centre, spread, count in zip(
            random.normal(0, 1.2, (6, 3)),
            random.uniform(0.05, 0.5, 6),
            random.integers(5, 150, 6),
            strict=True,
        )
    ]
    return np.vstack([*parts, random.uniform(-4, 4, (20, 3))])


@given(seed=st.integers(0, 10_000), quantile=st.floats(0.05, 1.0), samples=st.integers(2, 8))
def test_core_points_clusters_and_noise_are_those_of_scikit_learn(
    seed: int, quantile: float, samples: int
):
    points = clouds(seed)
    eps = (
        float(np.quantile(measure_neighbour_distances(points, min_samples=samples), quantile))
        * 1.001
    )
    ours, theirs = (
        cluster_by_density(points, eps=eps, min_samples=samples),
        DBSCAN(eps=eps, min_samples=samples).fit(points),
    )
    np.testing.assert_array_equal(np.flatnonzero(ours.is_core), theirs.core_sample_indices_)
    np.testing.assert_array_equal(ours.labels == NOISE, theirs.labels_ == NOISE)
    assert adjusted_rand_score(ours.labels[ours.is_core], theirs.labels_[ours.is_core]) == 1.0


def test_many_small_clusters_are_put_together_piece_by_piece(monkeypatch):
    monkeypatch.setattr(density, "POINTS_AT_ONCE", 3)
    # Pairs a tenth apart, in three chains: nearest neighbours alone do not connect them.
    chain = np.repeat(np.arange(12) * 0.1, 3) + np.tile([0, 0.001, 0.002], 12)
    points = np.vstack([np.column_stack([chain, np.full(36, height)]) for height in (0, 5, 10)])
    labels = cluster_by_density(points, eps=0.11, min_samples=3).labels
    assert labels.tolist() == [0] * 36 + [1] * 36 + [2] * 36


def test_far_points_lie_beyond_the_knee_and_crowds_within():
    random = np.random.default_rng(5)
    points = np.vstack([random.normal(0, 0.1, (300, 3)), random.uniform(2, 9, (9, 3))])
    distances = measure_neighbour_distances(points, min_samples=5)
    clusters = cluster_by_density(points, eps=find_knee(distances), min_samples=5)
    assert (clusters.labels[300:] == NOISE).all()
    assert (clusters.labels[:300] == NOISE).sum() <= 6


def test_no_more_than_a_tenth_is_an_exception_and_equal_points_are_none():
    assert (np.arange(100.0) ** 3 > find_knee(np.arange(100.0) ** 3)).sum() <= 10
    same = np.zeros((50, 3))
    distances = measure_neighbour_distances(same, min_samples=4)
    assert (cluster_by_density(same, eps=find_knee(distances), min_samples=4).labels == 0).all()


@pytest.mark.parametrize(("count", "samples"), [(1, 4), (90, 4), (145, 5), (200_000, 12)])
def test_company_grows_with_the_logarithm_of_the_crowd(count: int, samples: int):
    assert choose_min_samples(count) == samples


def test_dimensions_without_variance_are_dropped():
    points = np.zeros((40, 30), dtype=np.float32)
    points[:, 0], points[:, 1] = np.arange(40), np.arange(40)[::-1] ** 2
    assert reduce_dimensions(points).shape == (40, 1)
