"""Consumers whose typical day has no company, and what is unusual about it."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from smartgrid_core.contracts.segments import ConsumerOutliers
from smartgrid_ml.mining.segments.dbscan import (
    NOISE,
    Floats,
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
"""More profiles are held against the dense company of so many, chosen by chance."""


@dataclass(frozen=True, slots=True)
class Outliers:
    """Rows of `ConsumerOutliers`, the most unusual first, and how they were found.

    `distances`: every profile's, sorted, (n,). `clusters`: of DBSCAN, 0 where nothing was done.
    """

    rows: pl.DataFrame
    distances: Floats
    eps: float
    min_samples: int
    clusters: int


def find_outliers(profiles: pl.DataFrame, *, day: date, seed: int = 7) -> Outliers:
    """DBSCAN's noise among rows of `ConsumerProfiles`, `eps` at the knee of neighbour distances.

    Feed-in registers are not looked at: they are a kind of their own. More than MOST_WITHIN_TREE
    profiles: `eps` and the core points come from that many, drawn at random, and every other
    profile is an outlier if no core point lies within `eps`, by the definition of noise.
    """
    looked = profiles.filter(~pl.col("is_feed_in")).sort("meter_id")
    if looked.height < FEWEST_PROFILES:
        return Outliers(ConsumerOutliers.create_empty(), np.empty(0), 0.0, 0, 0)
    points = reduce_dimensions(build_profile_points(looked))
    min_samples = choose_min_samples(min(looked.height, MOST_WITHIN_TREE))
    is_sampled = np.ones(looked.height, dtype=bool)
    if looked.height > MOST_WITHIN_TREE:
        is_sampled[:] = False
        drawn = np.random.default_rng(seed).choice(looked.height, MOST_WITHIN_TREE, replace=False)
        is_sampled[drawn] = True
    sample = points[is_sampled]
    distances = measure_neighbour_distances(sample, min_samples=min_samples)
    eps = find_knee(distances)
    company = cluster_by_density(sample, eps=eps, min_samples=min_samples, distances=distances)
    is_outlier, far = np.zeros(looked.height, dtype=bool), np.zeros(looked.height)
    is_outlier[is_sampled], far[is_sampled] = company.labels == NOISE, distances
    if not is_sampled.all():
        far[~is_sampled], to_core = _measure_distances(
            sample, sample[company.is_core], points[~is_sampled], min_samples=min_samples
        )
        is_outlier[~is_sampled] = to_core > eps
    rows = _build_outlier_rows(looked, is_outlier=is_outlier, far=far, eps=eps, day=day)
    clusters = int(company.labels.max()) + 1
    return Outliers(rows, np.sort(distances), eps, min_samples, clusters)


def _measure_distances(
    sample: Floats, cores: Floats, others: Floats, *, min_samples: int
) -> tuple[Floats, Floats]:
    """To the nearest of the sample that make company (itself counted), and of its cores."""
    from scipy.spatial import KDTree

    far, _ = KDTree(sample).query(others, k=[min_samples - 1], workers=-1)
    to_core = np.full(len(others), np.inf)
    if len(cores):
        to_core[:], _ = KDTree(cores).query(others, workers=-1)
    return np.asarray(far).reshape(-1), to_core


def _build_outlier_rows(
    looked: pl.DataFrame, *, is_outlier: np.ndarray, far: Floats, eps: float, day: date
) -> pl.DataFrame:
    distance = pl.Series(far[is_outlier], dtype=pl.Float64)
    outliers = looked.filter(pl.Series(is_outlier))
    all_traits = compute_traits(looked)
    scale = measure_scale(all_traits)
    reasons = [
        describe_outlier(row, scale=scale)
        for row in all_traits.filter(pl.Series(is_outlier)).iter_rows(named=True)
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


def describe_outlier(trait: dict[str, float], *, scale: TraitScale) -> str:
    """`peaky (8.30, usually 2.40), days differ much (1.71, usually 0.38); evening peak`."""
    apart = sorted(
        (name for name in TRAITS if name != "level"),
        key=lambda name: -abs(scale.of(name, trait[name])),
    )
    told = [
        f"{TRAIT_WORDS[name][0 if trait[name] > scale.mean[name] else 1]}"
        f" ({trait[name]:.2f}, usually {scale.mean[name]:.2f})"
        for name in apart[:2]
    ]
    return f"{', '.join(told)}; {name_peak(int(trait['peak_hour']))}"
