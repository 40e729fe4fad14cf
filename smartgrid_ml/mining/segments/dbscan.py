"""DBSCAN within bounded memory: dense company, what borders on it, and what has none.

Ester, Kriegel, Sander and Xu (1996), KDD. scikit-learn's holds every neighbourhood at once, which
for dense data is some ten thousand entries per point; here only the nearest few are held.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartgrid_ml.mining.segments.profile_points import Points

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NOISE = -1

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
    """The natural logarithm of the number of points, at least 4.

    Birant and Kut (2007), ST-DBSCAN, Data & Knowledge Engineering 60(1).
    """
    return max(4, round(float(np.log(max(count, 1)))))


def reduce_dimensions(points: Points) -> Floats:
    """The principal components that keep 95 % of the variance, at most 8: float64 (n, <= 8)."""
    from sklearn.decomposition import PCA

    wanted = min(MOST_DIMENSIONS, *points.shape)
    reduced = PCA(wanted, svd_solver="covariance_eigh").fit(points)
    kept = np.cumsum(reduced.explained_variance_ratio_) < KEPT_VARIANCE
    columns = min(int(kept.sum()) + 1, wanted)
    return np.asarray(reduced.transform(points)[:, :columns], dtype=np.float64)


def measure_neighbour_distances(points: Floats, *, min_samples: int) -> Floats:
    """Distance of every point to its `min_samples`-th nearest, itself counted: (n,)."""
    from scipy.spatial import KDTree

    nearest = min(min_samples, len(points))
    distances, _ = KDTree(points).query(points, k=[nearest], workers=-1)
    return np.asarray(distances, dtype=np.float64).reshape(-1)


def find_knee(distances: Floats) -> float:
    """The distance at which the sorted curve of neighbour distances bends upwards.

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
    """How points keep company. `labels`: int64 (n,), the cluster from 0, largest first, or NOISE.

    `is_core`: points with `min_samples` within `eps`, themselves counted.
    """

    labels: Ints
    is_core: Bools
    eps: float
    min_samples: int


def cluster_by_density(
    points: Floats, *, eps: float, min_samples: int, distances: Floats | None = None
) -> DensityClusters:
    """Clusters of density-connected points; exact, with a few neighbours per point in memory.

    ``distances``: what `measure_neighbour_distances` said of the points, if it was asked already.
    A point
    on the border of several clusters goes to that of its nearest core point.
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


def _connect_cores(cores: Floats, tree: Any, *, eps: float, neighbours: int) -> Ints:
    """Connected components of core points within `eps` of each other, largest first: (n,).

    Nearest neighbours connect nearly all at once. Where that leaves several components, whatever
    connects two of them ends in one that is not the largest: only the neighbourhoods of those
    others are asked for, some at a time.
    """
    count = len(cores)
    distance, other = tree.query(cores, k=min(neighbours + 1, count), workers=-1)
    distance = np.asarray(distance).reshape(count, -1)
    other = np.asarray(other).reshape(count, -1)
    one, column = np.nonzero(distance <= eps)
    component = _find_components(count, one, other[one, column])
    rest = np.flatnonzero(component != 0)
    for start in range(0, len(rest), POINTS_AT_ONCE):
        some = rest[start : start + POINTS_AT_ONCE]
        found = tree.query_ball_point(cores[some], eps, workers=-1)
        sizes = np.fromiter(map(len, found), dtype=np.int64, count=len(some))
        links = np.unique(
            np.column_stack(
                [np.repeat(component[some], sizes), component[np.concatenate(found).astype(int)]]
            ),
            axis=0,
        )
        component = _find_components(int(component.max()) + 1, links[:, 0], links[:, 1])[component]
    return _number_by_size(component)


def _find_components(count: int, one: Ints, other: Ints) -> Ints:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    _, component = connected_components(links, directed=False)
    return _number_by_size(np.asarray(component, dtype=np.int64))


def _number_by_size(labels: Ints) -> Ints:
    """The same components, numbered by size; of equals, the one that comes first is first."""
    order = np.argsort(-np.bincount(labels), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return np.asarray(rank[labels], dtype=np.int64)
