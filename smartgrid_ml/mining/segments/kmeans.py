"""K-Means, and how many clusters there are: as many as come back when other meters are drawn."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from smartgrid_core.arrays import F32, I64
from smartgrid_ml.mining.segments.profile_points import Points

MINI_BATCH_FROM = 50_000
"""From here on mini-batches find centres as good in a fraction of the time."""

BATCH_POINTS = 10_240

MOST_CLUSTERS = 8
"""More kinds than that nobody keeps apart."""

SAMPLE_POINTS = 2_000
"""Enough points to see whether clusters come back."""

RESAMPLED_PAIRS = 8
RESAMPLED_SHARE = 0.8
"""Share of the points that each clustering of a pair is fitted on."""

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
"""Points whose distances to all centres are held together."""

FEWEST_POINTS = 20
"""Fewer are one segment: a fifth less of them would be other ones."""


class CentreFinder(Protocol):
    """Whatever can find the centres of K-Means: this machine, or Spark."""

    @property
    def name(self) -> str:
        """What people read about it."""
        ...

    def find_centres(self, points: Points, *, k: int, seed: int) -> Points:
        """Return the centres of `k` clusters, (k, n_columns), in no particular order."""
        ...


class LocalKMeans:
    """scikit-learn's K-Means; by mini-batches (Sculley, 2010, WWW) for many points."""

    name = "scikit-learn"

    def find_centres(self, points: Points, *, k: int, seed: int) -> Points:
        """Return the centres of the best of several starts, float32 (k, n_columns)."""
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
    """What came of one number of clusters."""

    k: int
    """The number of clusters."""
    stability: float
    """Mean adjusted Rand index of clusterings of resampled points, at most 1."""
    silhouette: float
    """Mean silhouette of a sample of points, -1 to 1."""
    smallest_share: float
    """Share of the points in the smallest cluster."""
    smallest: int
    """Points in the smallest cluster."""

    @property
    def is_allowed(self) -> bool:
        """Whether no cluster is too small to be a segment."""
        return self.smallest_share >= SMALLEST_SHARE and self.smallest >= FEWEST_MEMBERS


@dataclass(frozen=True, slots=True)
class Assignment:
    """The nearest centre of every point."""

    labels: I64
    """Position of the centre, (n,)."""
    distance: F32
    """To that centre, (n,)."""
    margin: F32
    """How much further the next centre is, (n,); NaN with one centre only."""


def assign_points(points: Points, centres: Points) -> Assignment:
    """Return the nearest centre of every point.

    >>> assign_points(np.float32([[0, 1], [4, 0]]), np.float32([[0, 0], [5, 0]])).labels
    array([0, 1])
    """
    labels = np.empty(len(points), dtype=np.int64)
    # distance to the nearest and to the next centre, (2, n)
    nearest = np.empty((2, len(points)), dtype=np.float32)
    for start in range(0, len(points), ASSIGNED_AT_ONCE):
        part = slice(start, start + ASSIGNED_AT_ONCE)
        squared = (
            (points[part] ** 2).sum(axis=1)[:, None]
            - 2 * points[part] @ centres.T
            + (centres**2).sum(axis=1)
        )
        labels[part] = squared.argmin(axis=1)
        two_nearest = np.sqrt(np.maximum(np.sort(squared, axis=1)[:, :2], 0.0))
        nearest[0, part] = two_nearest[:, 0]
        nearest[1, part] = two_nearest[:, 1] if two_nearest.shape[1] > 1 else np.nan
    return Assignment(labels, nearest[0], nearest[1] - nearest[0])


def try_cluster_counts(
    points: Points, *, seed: int, most: int = MOST_CLUSTERS
) -> list[ClusterTrial]:
    """Return a trial of each number of clusters from 2 to at most `most`.

    Stability after Ben-Hur, Elisseeff and Guyon (2002), Pacific Symposium on Biocomputing: two
    clusterings, each of a random four fifths of the points, label all points; their adjusted Rand
    index (Hubert and Arabie, 1985), averaged over pairs. Of more than SAMPLE_POINTS points so many
    are drawn.
    """
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(seed)
    if len(points) > SAMPLE_POINTS:
        points = points[np.sort(random.choice(len(points), SAMPLE_POINTS, replace=False))]
    different = len(np.unique(points, axis=0))
    counts = range(2, min(most, len(points) // FEWEST_MEMBERS, different // 2) + 1)
    # Thousands of points take milliseconds; threads that wait for each other take longer.
    with threadpool_limits(1):
        return [_try_count(points, k=k, seed=seed, random=random) for k in counts]


def _try_count(points: Points, *, k: int, seed: int, random: np.random.Generator) -> ClusterTrial:
    """Return the trial of one number of clusters.

    Args:
        points: All points, (n, n_columns).
        k: The number of clusters.
        seed: Of the clustering whose silhouette and sizes count.
        random: Draws the pairs of clusterings.
    """
    from sklearn.metrics import silhouette_score

    labels = _label_points(points, fitted_on=points, k=k, seed=seed)
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
    trials: Sequence[ClusterTrial], *, last: int | None = None
) -> tuple[int, str]:
    """Return how many clusters there are, and a sentence that says why.

    They are stable, none is too small, and of equally stable numbers it is the most. With none
    stable it is the allowed number that is most so, and the sentence says that it is weak; with
    none above HARDLY_STABLE, or none allowed, it is one. ``last``: the number of the run before
    stays while it is allowed, stable and within two STABILITY_TIE of the most stable, unless more
    segments are no less stable: segments shall not flicker.
    """
    allowed = [trial for trial in trials if trial.is_allowed]
    stable = [trial for trial in allowed if trial.stability >= STABLE]
    if not allowed:
        return 1, f"every split leaves a segment below {SMALLEST_SHARE:.0%} of the meters"
    if not stable:
        return _choose_unstable(allowed)
    best = max(trial.stability for trial in stable)
    tied = [trial for trial in stable if trial.stability >= best - STABILITY_TIE]
    most = max(tied, key=lambda trial: trial.k)
    kept = next((trial for trial in stable if trial.k == last), None)
    if kept is not None and kept.k != most.k and kept.stability >= best - 2 * STABILITY_TIE:
        is_finer = most.k > kept.k and most.stability >= kept.stability
        if not is_finer:
            return kept.k, f"{kept.k} as in the run before (stability {kept.stability:.2f} of 1)"
    return most.k, f"{most.k} is the most of the stable numbers ({most.stability:.2f} of 1)"


def _choose_unstable(allowed: Sequence[ClusterTrial]) -> tuple[int, str]:
    """Return the number that is nearest to being stable, or one, and a sentence that says why."""
    nearest = max(allowed, key=lambda trial: (trial.stability, -trial.k))
    reason = (
        f"no number of segments is stable ({STABLE}), {nearest.k} is nearest to it"
        f" ({nearest.stability:.2f})"
    )
    if nearest.stability < HARDLY_STABLE:
        return 1, f"{reason}: it is one crowd"
    return nearest.k, f"{reason}: the segments shade into each other"


def _measure_stability(points: Points, *, k: int, random: np.random.Generator) -> float:
    """Return the mean adjusted Rand index of RESAMPLED_PAIRS pairs of clusterings."""
    from sklearn.metrics import adjusted_rand_score

    size = int(RESAMPLED_SHARE * len(points))
    agreement = []
    for _ in range(RESAMPLED_PAIRS):
        first, second = (
            _label_points(
                points,
                fitted_on=points[random.choice(len(points), size, replace=False)],
                k=k,
                seed=int(random.integers(2**31)),
            )
            for _ in range(2)
        )
        agreement.append(adjusted_rand_score(first, second))
    return float(np.mean(agreement))


def _label_points(points: Points, *, fitted_on: Points, k: int, seed: int) -> I64:
    """Return the nearest centre of each point, (n,).

    Args:
        points: All points, (n, n_columns).
        fitted_on: The points whose centres count, (m, n_columns).
        k: The number of centres.
        seed: Of the clustering.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Many equal meters: a draw may hold fewer different ones than there are clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(k, n_init=4, random_state=seed).fit(fitted_on)
    return np.asarray(model.predict(points), dtype=np.int64)
