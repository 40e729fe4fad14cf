"""DBSCAN within bounded memory: dense clusters, what borders on them, and noise.

Ester, Kriegel, Sander and Xu (1996), KDD. scikit-learn's holds every neighbourhood at once, which
for dense data is some ten thousand entries per point; here only the nearest few are held.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from smartgrid_core.arrays import F64, I64, Bool
from smartgrid_ml.mining.segments.profile_points import Points

NOISE = -1
"""The label of points that belong to no cluster."""

MOST_DIMENSIONS = 8
"""Trees find neighbours quickly up to about here; profiles have few more that matter."""

KEPT_VARIANCE = 0.95

MOST_OUTLIERS_SHARE = 0.1
"""What one profile in ten does is no exception, wherever the curve bends."""

CURVE_POINTS = 2_000
"""The knee of 200,000 sorted distances is that of every hundredth."""

POINTS_AT_ONCE = 2_000
"""So many neighbourhoods are held together."""


def choose_min_samples(count: int) -> int:
    """Return the natural logarithm of the number of points, at least 4.

    Birant and Kut (2007), ST-DBSCAN, Data & Knowledge Engineering 60(1).

    >>> choose_min_samples(90), choose_min_samples(200_000)
    (4, 12)
    """
    return max(4, round(float(np.log(max(count, 1)))))


def reduce_dimensions(points: Points) -> F64:
    """Return the principal components that keep 95 % of the variance, float64 (n, at most 8)."""
    from sklearn.decomposition import PCA

    components = min(MOST_DIMENSIONS, *points.shape)
    pca = PCA(components, svd_solver="covariance_eigh").fit(points)
    is_short = np.cumsum(pca.explained_variance_ratio_) < KEPT_VARIANCE
    columns = min(int(is_short.sum()) + 1, components)
    return np.asarray(pca.transform(points)[:, :columns], dtype=np.float64)


def measure_neighbour_distances(points: F64, *, min_samples: int) -> F64:
    """Return the distance of every point to its `min_samples`-th nearest, itself counted, (n,)."""
    from scipy.spatial import KDTree

    nearest = min(min_samples, len(points))
    distances, _ = KDTree(points).query(points, k=[nearest], workers=-1)
    return np.asarray(distances, dtype=np.float64).reshape(-1)


def find_knee(distances: F64) -> float:
    """Return the distance at which the sorted curve of neighbour distances bends upwards.

    Satopaa, Albrecht, Irwin and Raghavan (2011), Finding a "Kneedle" in a Haystack. A curve may
    have several knees: it is the first that leaves at most a tenth of the points beyond it; without
    any, the distance that leaves a tenth. 0 for points that are all the same.
    """
    from kneed import KneeLocator

    curve = np.sort(distances)
    if len(curve) < 3 or curve[0] == curve[-1]:
        return float(curve[-1]) if len(curve) else 0.0
    least = float(np.quantile(curve, 1 - MOST_OUTLIERS_SHARE, method="higher"))
    places = np.unique(np.linspace(0, len(curve) - 1, CURVE_POINTS).astype(int))
    bends = KneeLocator(
        places, curve[places], curve="convex", direction="increasing", online=True
    ).all_knees
    knees = [float(curve[int(bend)]) for bend in sorted(bends)]
    return next((knee for knee in knees if knee >= least), least)


@dataclass(frozen=True, slots=True)
class DensityClusters:
    """The clusters of points, and with which parameters they were found."""

    labels: I64
    """The cluster from 0, the largest first, or NOISE, (n,)."""
    is_core: Bool
    """Points with `min_samples` points within `eps`, themselves counted, (n,)."""
    eps: float
    """Radius of a neighbourhood, in units of the points."""
    min_samples: int
    """Points that make a neighbourhood dense."""


def cluster_by_density(
    points: F64, *, eps: float, min_samples: int, distances: F64 | None = None
) -> DensityClusters:
    """Return clusters of density-connected points; exact, with a few neighbours in memory.

    A point on the border of several clusters goes to that of its nearest core point.

    Args:
        points: float64 (n, n_columns).
        eps: Radius of a neighbourhood.
        min_samples: Points that make a neighbourhood dense, the point itself counted.
        distances: As `measure_neighbour_distances` returns them, (n,); None to measure them here.
    """
    from scipy.spatial import KDTree

    if distances is None:
        distances = measure_neighbour_distances(points, min_samples=min_samples)
    is_core = (distances <= eps) & (len(points) >= min_samples)
    labels = np.full(len(points), NOISE, dtype=np.int64)
    if is_core.any():
        cores = points[is_core]
        tree = KDTree(cores)
        component = _connect_cores(cores, tree, eps=eps, neighbours=min_samples)
        labels[is_core] = component
        distance, nearest = tree.query(points[~is_core], workers=-1)
        labels[~is_core] = np.where(distance <= eps, component[nearest], NOISE)
    return DensityClusters(labels, is_core, eps, min_samples)


def _connect_cores(cores: F64, tree: Any, *, eps: float, neighbours: int) -> I64:
    """Return connected components of core points within `eps` of each other, largest first, (n,).

    Nearest neighbours connect nearly all at once. Where that leaves several components, whatever
    connects two of them ends in one that is not the largest: only the neighbourhoods of those
    others are looked up, some at a time.

    Args:
        cores: The core points, (n, n_columns).
        tree: The KDTree of the core points.
        eps: Radius of a neighbourhood.
        neighbours: Nearest neighbours that are looked at first.
    """
    count = len(cores)
    distance, other = tree.query(cores, k=min(neighbours + 1, count), workers=-1)
    distance = np.asarray(distance).reshape(count, -1)
    other = np.asarray(other).reshape(count, -1)
    row, column = np.nonzero(distance <= eps)
    component = _find_components(count, row, other[row, column])
    rest = np.flatnonzero(component != 0)
    for start in range(0, len(rest), POINTS_AT_ONCE):
        part = rest[start : start + POINTS_AT_ONCE]
        neighbourhoods = tree.query_ball_point(cores[part], eps, workers=-1)
        sizes = np.fromiter(map(len, neighbourhoods), dtype=np.int64, count=len(part))
        reached = component[np.concatenate(neighbourhoods).astype(int)]
        # pairs of components that touch, (n_links, 2)
        links = np.unique(np.column_stack([np.repeat(component[part], sizes), reached]), axis=0)
        merged = _find_components(int(component.max()) + 1, links[:, 0], links[:, 1])
        component = merged[component]
    return _number_by_size(component)


def _find_components(count: int, first: I64, second: I64) -> I64:
    """Return the component of each of `count` nodes, (count,); links join first with second."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    _, component = connected_components(links, directed=False)
    return _number_by_size(np.asarray(component, dtype=np.int64))


def _number_by_size(labels: I64) -> I64:
    """Return the same components numbered by size; of equals, the one that comes first is first."""
    order = np.argsort(-np.bincount(labels), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return np.asarray(rank[labels], dtype=np.int64)
