"""K-Means, and how many clusters there are: as many as come back when other meters are asked."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smartgrid_ml.mining.segments.profile_points import Points

MINI_BATCH_FROM = 50_000
"""From here on batches find centres as good in a fraction of the time."""

BATCH_POINTS = 10_240

MOST_CLUSTERS = 8
"""More kinds than that nobody keeps apart."""

SAMPLE_POINTS = 2_000
"""Whether clusters come back is seen on so many."""

RESAMPLED_PAIRS = 8
RESAMPLED_SHARE = 0.8
"""Share of the points that each clustering of a pair sees."""

STABLE = 0.8
"""Mean adjusted Rand index from which clusters count as those of the data, not of the draw."""

HARDLY_STABLE = 0.5
"""Below, segments are those of the draw: one crowd, however it is cut."""

STABILITY_TIE = 0.05
"""Numbers of clusters whose stability differs by less are equally stable."""

SMALLEST_SHARE = 0.03
FEWEST_MEMBERS = 3
"""A cluster of fewer is an exception, no segment; that 89 homes and one are two clusters helps
nobody."""

SILHOUETTE_SAMPLE = 2_000

ASSIGNED_AT_ONCE = 100_000

FEWEST_POINTS = 20
"""Fewer are one segment: a fifth less of them would be other ones."""


class CentreFinder(Protocol):
    """Whatever can find the centres of K-Means: this machine, or Spark."""

    @property
    def name(self) -> str:
        """What people read about it."""
        ...

    def centres(self, points: Points, *, k: int, seed: int) -> Points:
        """The centres of `k` clusters, (k, n_columns), in no particular order."""
        ...


class LocalKMeans:
    """scikit-learn's K-Means; by mini-batches (Sculley, 2010, WWW) for many points."""

    name = "scikit-learn"

    def centres(self, points: Points, *, k: int, seed: int) -> Points:
        """The centres of the best of several starts."""
        from sklearn.cluster import KMeans, MiniBatchKMeans

        model = (
            KMeans(k, n_init=10, random_state=seed)
            if len(points) < MINI_BATCH_FROM
            else MiniBatchKMeans(
                k, n_init=5, batch_size=BATCH_POINTS, max_iter=50, random_state=seed
            )
        )
        return np.asarray(model.fit(points).cluster_centers_, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ClusterTrial:
    """One number of clusters. `stability` and `silhouette` are at most 1; shares add up to 1."""

    k: int
    stability: float
    silhouette: float
    smallest_share: float
    smallest: int

    @property
    def is_allowed(self) -> bool:
        """No cluster is too small to be a segment."""
        return self.smallest_share >= SMALLEST_SHARE and self.smallest >= FEWEST_MEMBERS


@dataclass(frozen=True, slots=True)
class Assignment:
    """Labels int64 (n,); distance to the own centre, float32 (n,); how much further the next is.

    `margin` is NaN with one centre only.
    """

    labels: NDArray[np.int64]
    distance: Points
    margin: Points


def assign_points(points: Points, centres: Points) -> Assignment:
    """The nearest centre of every point."""
    labels = np.empty(len(points), dtype=np.int64)
    nearest = np.empty((2, len(points)), dtype=np.float32)
    for start in range(0, len(points), ASSIGNED_AT_ONCE):
        part = slice(start, start + ASSIGNED_AT_ONCE)
        squared = (
            (points[part] ** 2).sum(axis=1)[:, None]
            - 2 * points[part] @ centres.T
            + (centres**2).sum(axis=1)
        )
        labels[part] = squared.argmin(axis=1)
        far = np.sqrt(np.maximum(np.sort(squared, axis=1)[:, :2], 0.0))
        nearest[0, part] = far[:, 0]
        nearest[1, part] = far[:, 1] if far.shape[1] > 1 else np.nan
    return Assignment(labels, nearest[0], nearest[1] - nearest[0])


def try_cluster_counts(
    points: Points, *, seed: int, most: int = MOST_CLUSTERS
) -> list[ClusterTrial]:
    """Each number of clusters from 2: does it come back, how apart are they, how small is one?

    Stability after Ben-Hur, Elisseeff and Guyon (2002), Pacific Symposium on Biocomputing: two
    clusterings, each of a random four fifths of the points, label all points; their adjusted Rand
    index (Hubert and Arabie, 1985), averaged over pairs. More than SAMPLE points: of that many.
    """
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(seed)
    if len(points) > SAMPLE_POINTS:
        points = points[np.sort(random.choice(len(points), SAMPLE_POINTS, replace=False))]
    different = len(np.unique(points, axis=0))
    numbers = range(2, min(most, len(points) // FEWEST_MEMBERS, different // 2) + 1)
    # Thousands of points take milliseconds; threads that wait for each other take longer.
    with threadpool_limits(1):
        return [_try_count(points, k=k, seed=seed, random=random) for k in numbers]


def _try_count(points: Points, *, k: int, seed: int, random: np.random.Generator) -> ClusterTrial:
    from sklearn.metrics import silhouette_score

    labels = _label_points(points, points, k=k, seed=seed)
    sizes = np.bincount(labels, minlength=k)
    silhouette = silhouette_score(
        points, labels, sample_size=min(SILHOUETTE_SAMPLE, len(points)), random_state=seed
    )
    return ClusterTrial(
        k=k,
        stability=_measure_stability(points, k=k, random=random),
        silhouette=float(silhouette),
        smallest_share=float(sizes.min() / len(points)),
        smallest=int(sizes.min()),
    )


def choose_cluster_count(
    tried: Sequence[ClusterTrial], *, last: int | None = None
) -> tuple[int, str]:
    """How many clusters, and why: stable, none too small, and of equally stable numbers the most.

    With none stable it is the allowed number that is most so, and the sentence says that it is
    weak; with none above HARDLY_STABLE, or none allowed, it is one. ``last``: the number of the run
    before stays while it is allowed, stable and within two TIE of the most stable, unless more
    segments are no less stable: segments shall not flicker.
    """
    allowed = [each for each in tried if each.is_allowed]
    stable = [each for each in allowed if each.stability >= STABLE]
    if not allowed:
        return 1, f"every split leaves a segment below {SMALLEST_SHARE:.0%} of the meters"
    if not stable:
        nearest = max(allowed, key=lambda each: (each.stability, -each.k))
        told = f"no number of segments is stable ({STABLE}), {nearest.k} is nearest to it"
        if nearest.stability < HARDLY_STABLE:
            return 1, f"{told} ({nearest.stability:.2f}): it is one crowd"
        return nearest.k, f"{told} ({nearest.stability:.2f}): the segments shade into each other"
    best = max(each.stability for each in stable)
    most = max(
        (each for each in stable if each.stability >= best - STABILITY_TIE), key=lambda each: each.k
    )
    kept = next((each for each in stable if each.k == last), None)
    if kept is not None and kept.k != most.k and kept.stability >= best - 2 * STABILITY_TIE:
        is_finer = most.k > kept.k and most.stability >= kept.stability
        if not is_finer:
            return kept.k, f"{kept.k} as in the run before (stability {kept.stability:.2f} of 1)"
    return most.k, f"{most.k} is the most of the stable numbers ({most.stability:.2f} of 1)"


def _measure_stability(points: Points, *, k: int, random: np.random.Generator) -> float:
    from sklearn.metrics import adjusted_rand_score

    size = int(RESAMPLED_SHARE * len(points))
    agreement = []
    for _ in range(RESAMPLED_PAIRS):
        one, other = (
            _label_points(
                points,
                points[random.choice(len(points), size, replace=False)],
                k=k,
                seed=int(random.integers(2**31)),
            )
            for _ in range(2)
        )
        agreement.append(adjusted_rand_score(one, other))
    return float(np.mean(agreement))


def _label_points(points: Points, seen: Points, *, k: int, seed: int) -> NDArray[np.int64]:
    """All points by the centres of those that were seen."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Many equal meters: a draw may hold fewer different ones than there are clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(k, n_init=4, random_state=seed).fit(seen)
    return np.asarray(model.predict(points), dtype=np.int64)
