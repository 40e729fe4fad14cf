"""Consumers whose typical day is like no other, and what is unusual about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from smartgrid_core.arrays import F64, Bool
from smartgrid_core.contracts.segments import ConsumerOutliers
from smartgrid_ml.mining.segments.dbscan import (
    NOISE,
    choose_min_samples,
    cluster_by_density,
    find_knee,
    measure_neighbour_distances,
    reduce_dimensions,
)
from smartgrid_ml.mining.segments.profile_points import build_profile_points
from smartgrid_ml.mining.segments.traits import (
    TRAIT_WORDS,
    TRAITS,
    TraitScale,
    compute_traits,
    measure_scale,
    name_peak,
)

FEWEST_PROFILES = 10
"""Among fewer profiles none is the rule that another could be an exception to."""

MOST_WITHIN_TREE = 200_000
"""More profiles are held against the dense clusters of so many, chosen by chance."""


@dataclass(frozen=True, slots=True)
class Outliers:
    """The outliers among profiles, and how they were found."""

    rows: pl.DataFrame
    """Rows of `ConsumerOutliers`, the most unusual first."""
    distances: F64
    """Every profile's distance to its `min_samples`-th nearest, sorted, (n,)."""
    eps: float
    """The knee of the distances; 0 where nothing was done."""
    min_samples: int
    """Profiles that make a neighbourhood dense; 0 where nothing was done."""
    clusters: int
    """Clusters that DBSCAN found; 0 where nothing was done."""


def find_outliers(profiles: pl.DataFrame, *, day: date, seed: int = 7) -> Outliers:
    """Return DBSCAN's noise among the profiles, with `eps` at the knee of neighbour distances.

    ``profiles``: rows of `ConsumerProfiles`; feed-in registers are ignored, they are a kind of
    their own. Of more than MOST_WITHIN_TREE profiles that many are drawn at random; they give `eps`
    and the core points, and every other profile is an outlier if no core point lies within `eps`,
    by the definition of noise.
    """
    drawing = profiles.filter(~pl.col("is_feed_in")).sort("meter_id")
    if drawing.height < FEWEST_PROFILES:
        return Outliers(ConsumerOutliers.create_empty(), np.empty(0), 0.0, 0, 0)
    points = reduce_dimensions(build_profile_points(drawing))
    min_samples = choose_min_samples(min(drawing.height, MOST_WITHIN_TREE))
    is_sampled = np.ones(drawing.height, dtype=bool)
    if drawing.height > MOST_WITHIN_TREE:
        is_sampled[:] = False
        drawn = np.random.default_rng(seed).choice(drawing.height, MOST_WITHIN_TREE, replace=False)
        is_sampled[drawn] = True
    sample = points[is_sampled]
    distances = measure_neighbour_distances(sample, min_samples=min_samples)
    eps = find_knee(distances)
    dense = cluster_by_density(sample, eps=eps, min_samples=min_samples, distances=distances)
    is_outlier = np.zeros(drawing.height, dtype=bool)
    neighbour_distance = np.zeros(drawing.height)
    is_outlier[is_sampled], neighbour_distance[is_sampled] = dense.labels == NOISE, distances
    if not is_sampled.all():
        others = points[~is_sampled]
        neighbour_distance[~is_sampled] = _measure_to_sample(
            sample, others, min_samples=min_samples
        )
        is_outlier[~is_sampled] = _measure_to_nearest(sample[dense.is_core], others) > eps
    rows = _build_outlier_rows(
        drawing, is_outlier=is_outlier, neighbour_distance=neighbour_distance, eps=eps, day=day
    )
    clusters = int(dense.labels.max()) + 1
    return Outliers(rows, np.sort(distances), eps, min_samples, clusters)


def _measure_to_sample(sample: F64, others: F64, *, min_samples: int) -> F64:
    """Return how far the sampled point is that makes a neighbourhood dense, (n_others,).

    ``sample``: (n, n_columns); ``others``: points outside of the sample, (n_others, n_columns),
    each of which counts among the `min_samples` itself.
    """
    from scipy.spatial import KDTree

    distance, _ = KDTree(sample).query(others, k=[min_samples - 1], workers=-1)
    return np.asarray(distance, dtype=np.float64).reshape(-1)


def _measure_to_nearest(cores: F64, others: F64) -> F64:
    """Return the distance to the nearest core point, (n_others,); infinite without any."""
    from scipy.spatial import KDTree

    distance = np.full(len(others), np.inf)
    if len(cores):
        distance[:], _ = KDTree(cores).query(others, workers=-1)
    return distance


def _build_outlier_rows(
    drawing: pl.DataFrame, *, is_outlier: Bool, neighbour_distance: F64, eps: float, day: date
) -> pl.DataFrame:
    """Return rows of `ConsumerOutliers`, the most unusual first.

    Args:
        drawing: Rows of `ConsumerProfiles`.
        is_outlier: Which of them are outliers, (n,).
        neighbour_distance: Of each to its `min_samples`-th nearest, (n,).
        eps: The radius of a neighbourhood.
        day: The last day of the profiles' window.
    """
    distance = pl.Series(neighbour_distance[is_outlier], dtype=pl.Float64)
    outliers = drawing.filter(pl.Series(is_outlier))
    traits = compute_traits(drawing)
    scale = measure_scale(traits)
    reasons = [
        describe_outlier(row, scale=scale)
        for row in traits.filter(pl.Series(is_outlier)).iter_rows(named=True)
    ]
    return ConsumerOutliers.validate(
        outliers.select(
            "meter_id",
            "mean_kw",
            day=pl.lit(day),
            neighbour_distance=distance,
            eps=pl.lit(eps),
            score=distance / eps if eps else pl.lit(0.0),
            reason=pl.Series(reasons, dtype=pl.String),
        )
        .select(ConsumerOutliers.column_names())
        .sort("score", "meter_id", descending=[True, False]),
        cast=True,
    )


def describe_outlier(trait: Mapping[str, float], *, scale: TraitScale) -> str:
    """Return the two most unusual traits and the peak, in words.

    `peaky (8.30, usually 2.40), days differ much (1.71, usually 0.38); evening peak`. ``trait``:
    the meter's traits and its `peak_hour`; ``scale``: how the traits of all meters spread.
    """
    by_size = sorted(
        (name for name in TRAITS if name != "level"),
        key=lambda name: -abs(scale.standardise(name, trait[name])),
    )
    unusual = [
        f"{TRAIT_WORDS[name][0 if trait[name] > scale.mean[name] else 1]}"
        f" ({trait[name]:.2f}, usually {scale.mean[name]:.2f})"
        for name in by_size[:2]
    ]
    return f"{', '.join(unusual)}; {name_peak(int(trait['peak_hour']))}"
