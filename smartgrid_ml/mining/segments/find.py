"""From profiles to segments with identity, name and typical day: one call, no store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import dataframely as dy
import numpy as np
import polars as pl

from smartgrid_core.arrays import F32, I64
from smartgrid_core.contracts.segments import (
    DAY_KINDS,
    HOURS,
    ConsumerSegments,
    SegmentBands,
    SegmentHistory,
)
from smartgrid_ml.mining.segments.identity import (
    KnownSegment,
    SegmentIdentity,
    compute_centre,
    find_known_segments,
    identify_segments,
)
from smartgrid_ml.mining.segments.kmeans import (
    FEWEST_POINTS,
    MOST_CLUSTERS,
    CentreFinder,
    ClusterTrial,
    assign_points,
    choose_cluster_count,
    try_cluster_counts,
)
from smartgrid_ml.mining.segments.profile_points import SHAPE_COLUMNS, build_profile_points
from smartgrid_ml.mining.segments.traits import (
    TRAITS,
    TraitScale,
    choose_name,
    compute_traits,
    measure_scale,
)

FEED_IN = "FEED_IN"
"""The identity of the segment of all feed-in registers: by the topology, not by shape."""
FEED_IN_NAME = "feed-in"

EVERYONE = "everyone"
"""The name of the only segment where nothing can be told apart."""


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of a day, and why there are so many of them."""

    members: pl.DataFrame
    """Rows of `ConsumerSegments`, by meter_id."""
    history: pl.DataFrame
    """Rows of `SegmentHistory` of the day."""
    bands: pl.DataFrame
    """Rows of `SegmentBands` of the day."""
    trials: Sequence[ClusterTrial]
    """One per number of clusters that was tried; empty for too few meters."""
    chosen: ClusterTrial | None
    """The trial whose number was taken; None where nothing was clustered."""
    reason: str
    """A sentence about the number of segments."""


@dataclass(frozen=True, slots=True)
class _Clustering:
    """The cluster of each meter, and how the number of clusters came about."""

    labels: I64
    """From 0, the largest cluster first, (n,)."""
    distance: F32
    """To the cluster's own centre, (n,)."""
    margin: F32
    """How much further the next centre is, (n,); NaN without one."""
    trials: Sequence[ClusterTrial]
    chosen: ClusterTrial | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment of the day: who it is, its profiles and its typical day."""

    identity: SegmentIdentity
    name: str
    profiles: pl.DataFrame
    typical_day: pl.DataFrame
    """As `_build_typical_day` returns it."""


def find_segments(
    profiles: pl.DataFrame,
    *,
    day: date,
    engine: CentreFinder,
    history: pl.DataFrame | None = None,
    bands: pl.DataFrame | None = None,
    seed: int = 7,
    most: int = MOST_CLUSTERS,
) -> Segments:
    """Return the segments of consumers; they keep their identity from the runs before `day`.

    Segments are numbered by size, the largest first, where they are new. Feed-in registers are one
    segment of their own, beside at most `most` others.

    Args:
        profiles: Rows of `ConsumerProfiles` without outliers.
        day: The last day of the profiles' window.
        engine: Finds the centres of clusters.
        history: Rows of `SegmentHistory`; those of `day` and later are ignored, so that a repeated
            run gives the same segments. None for the first run.
        bands: Rows of `SegmentBands`, likewise.
        seed: Of the clusterings.
        most: The largest number of clusters that is tried.
    """
    profiles = profiles.sort("meter_id")
    drawing = profiles.filter(~pl.col("is_feed_in"))
    feeding = profiles.filter(pl.col("is_feed_in"))
    past = _select_before(SegmentHistory, history, day)
    past_clustered = past.filter(pl.col("segment_id") != FEED_IN)
    past_bands = _select_before(SegmentBands, bands, day).filter(pl.col("segment_id") != FEED_IN)
    clustering = _cluster_profiles(
        drawing, engine=engine, seed=seed, most=most, last=_count_last_segments(past_clustered)
    )
    segments = _build_segments(
        drawing,
        labels=clustering.labels,
        known=find_known_segments(past_clustered, past_bands),
        day=day,
    )
    if feeding.height:
        typical_day = _build_typical_day(feeding, day=day)
        segments.append(_Segment(_identify_feed_in(past), FEED_IN_NAME, feeding, typical_day))
    return Segments(
        members=_build_members(drawing, feeding, clustering=clustering, segments=segments, day=day),
        history=_build_history(
            segments,
            past=past,
            day=day,
            stability=clustering.chosen.stability if clustering.chosen else None,
        ),
        bands=_build_bands(segments),
        trials=clustering.trials,
        chosen=clustering.chosen,
        reason=clustering.reason,
    )


def _build_members(
    drawing: pl.DataFrame,
    feeding: pl.DataFrame,
    *,
    clustering: _Clustering,
    segments: Sequence[_Segment],
    day: date,
) -> pl.DataFrame:
    """Return rows of `ConsumerSegments`, by meter_id.

    Args:
        drawing: Rows of `ConsumerProfiles` that were clustered.
        feeding: Rows of feed-in registers, whose segment is the last one.
        clustering: The cluster of each row of `drawing`.
        segments: The segments, by label.
        day: The day of the run.
    """
    last = np.full(feeding.height, len(segments) - 1, dtype=np.int64)
    unknown = np.full(feeding.height, np.nan, dtype=np.float32)
    labels = np.concatenate([clustering.labels, last])
    members = pl.concat([drawing, feeding]).select(
        "meter_id",
        day=pl.lit(day),
        segment_id=_pick_by_label([each.identity.segment_id for each in segments], labels),
        segment_name=_pick_by_label([each.name for each in segments], labels),
        distance=_to_nullable(np.concatenate([clustering.distance, unknown])),
        margin=_to_nullable(np.concatenate([clustering.margin, unknown])),
    )
    return ConsumerSegments.validate(members.sort("meter_id"), cast=True)


def _cluster_profiles(
    drawing: pl.DataFrame, *, engine: CentreFinder, seed: int, most: int, last: int | None
) -> _Clustering:
    """Return the clusters of meters that draw energy.

    Args:
        drawing: Rows of `ConsumerProfiles`.
        engine: Finds the centres.
        seed: Of the clusterings.
        most: The largest number of clusters that is tried.
        last: How many the run before had; None for no run.
    """
    points = build_profile_points(drawing)
    if len(points) < FEWEST_POINTS:
        trials: Sequence[ClusterTrial] = ()
        k, reason = 1, f"{len(points)} meters are too few to tell apart, {FEWEST_POINTS} are needed"
    else:
        trials = try_cluster_counts(points, seed=seed, most=most)
        k, reason = choose_cluster_count(trials, last=last)
    if not len(points):
        nothing = np.empty(0, dtype=np.float32)
        return _Clustering(np.empty(0, dtype=np.int64), nothing, nothing, trials, None, reason)
    centres = points.mean(axis=0, keepdims=True)
    if k > 1:
        centres = engine.find_centres(points, k=k, seed=seed)
    nearest = assign_points(points, centres)
    chosen = next((trial for trial in trials if trial.k == k), None)
    labels = _number_by_size(nearest.labels)
    return _Clustering(labels, nearest.distance, nearest.margin, trials, chosen, reason)


def _number_by_size(labels: I64) -> I64:
    """Return labels without gaps, by size; of equals, the one whose first meter comes first."""
    values, first, counts = np.unique(labels, return_index=True, return_counts=True)
    rank = {int(values[place]): new for new, place in enumerate(np.lexsort((first, -counts)))}
    lookup = np.zeros(int(values.max()) + 1, dtype=np.int64)
    for old, new in rank.items():
        lookup[old] = new
    return lookup[labels]


def _build_segments(
    drawing: pl.DataFrame, *, labels: I64, known: Sequence[KnownSegment], day: date
) -> list[_Segment]:
    """Return the clustered segments, in the order of their labels.

    Args:
        drawing: Rows of `ConsumerProfiles`.
        labels: The cluster of each row, from 0 without gaps, (n,).
        known: The segments of earlier runs.
        day: The day of the run.
    """
    count = int(labels.max()) + 1 if len(labels) else 0
    parts = [drawing.filter(pl.Series(labels == label)) for label in range(count)]
    typical_days = [_build_typical_day(part, day=day) for part in parts]
    centres = np.array([compute_centre(rows) for rows in typical_days])
    identities = identify_segments(centres.reshape(count, SHAPE_COLUMNS), known)
    names = _name_segments(parts, identities, taken={each.name for each in known})
    return [
        _Segment(identity, name, part, typical_day)
        for identity, name, part, typical_day in zip(
            identities, names, parts, typical_days, strict=True
        )
    ]


def _select_before(schema: type[dy.Schema], rows: pl.DataFrame | None, day: date) -> pl.DataFrame:
    empty: pl.DataFrame = schema.create_empty()
    return empty if rows is None else rows.filter(pl.col("day") < day)


def _select_last_alive(past: pl.DataFrame) -> pl.DataFrame:
    """Return the segments that the last run found: rows of `SegmentHistory`."""
    return past.filter(pl.col("day") == pl.col("day").max(), pl.col("state") != "ended")


def _count_last_segments(past: pl.DataFrame) -> int | None:
    """Return how many segments the last run clustered; None for no run."""
    return None if past.is_empty() else _select_last_alive(past).height


def _identify_feed_in(past: pl.DataFrame) -> SegmentIdentity:
    """Return the identity of the feed-in registers: the same, however their days look."""
    earlier = past.filter(pl.col("segment_id") == FEED_IN).sort("day")
    if earlier.is_empty():
        return SegmentIdentity(FEED_IN, "new")
    is_alive = earlier["state"][-1] != "ended"
    return SegmentIdentity(FEED_IN, "kept" if is_alive else "returned", FEED_IN_NAME)


def _build_typical_day(part: pl.DataFrame, *, day: date) -> pl.DataFrame:
    """Return rows of `SegmentBands` without segment_id: quantiles over the meters, by hour."""
    kw = part["mean_kw"].to_numpy()
    rows = []
    for kind in DAY_KINDS:
        # multiples of the mean power, (n_meters, 24)
        shape = part[f"{kind}_shape"].to_numpy().reshape(-1, HOURS).astype(np.float64)
        p10, p50, p90 = np.quantile(shape, [0.1, 0.5, 0.9], axis=0)
        rows.append(
            pl.DataFrame(
                {
                    "day": [day] * HOURS,
                    "day_kind": [kind] * HOURS,
                    "hour": np.arange(HOURS, dtype=np.int32),
                    "p10": p10,
                    "p50": p50,
                    "p90": p90,
                    "mean": shape.mean(axis=0),
                    "mean_kw": (shape * kw[:, None]).mean(axis=0),
                }
            )
        )
    return pl.concat(rows)


def _build_bands(segments: Sequence[_Segment]) -> pl.DataFrame:
    """Return rows of `SegmentBands`, ordered by key."""
    parts = [
        each.typical_day.with_columns(segment_id=pl.lit(each.identity.segment_id)).select(
            SegmentBands.column_names()
        )
        for each in segments
    ]
    bands = pl.concat([SegmentBands.create_empty(), *parts]).sort(SegmentBands.primary_key())
    return SegmentBands.validate(bands, cast=True)


def _name_segments(
    parts: Sequence[pl.DataFrame],
    identities: Sequence[SegmentIdentity],
    *,
    taken: set[str | None],
) -> list[str]:
    """Return a name per segment: kept ones stay, new ones say what sets them apart.

    ``parts``: rows of `ConsumerProfiles` of each segment; ``taken``: names of earlier segments.
    """
    if not parts:
        return []
    used = {name for name in taken if name is not None} | {FEED_IN_NAME}
    traits = [compute_traits(part) for part in parts]
    scale = measure_scale(pl.concat(traits))
    names = []
    for identity, of_part in zip(identities, traits, strict=True):
        name = identity.name
        if name is None:
            is_alone = len(parts) == 1 and EVERYONE not in used
            name = EVERYONE if is_alone else _choose_new_name(of_part, scale=scale, taken=used)
        used.add(name)
        names.append(name)
    return names


def _choose_new_name(traits: pl.DataFrame, *, scale: TraitScale, taken: set[str]) -> str:
    typical: Mapping[str, float] = {
        **traits.select(TRAITS).mean().row(0, named=True),
        "peak_hour": _find_usual_peak(traits["peak_hour"]),
    }
    return choose_name(typical, scale=scale, taken=taken)


def _find_usual_peak(hours: pl.Series) -> int:
    """Return the hour at which most meters peak, the earlier of equals."""
    counts = hours.value_counts().sort("count", hours.name, descending=[True, False])
    return int(counts[hours.name][0])


def _build_history(
    segments: Sequence[_Segment], *, past: pl.DataFrame, day: date, stability: float | None
) -> pl.DataFrame:
    """Return rows of `SegmentHistory` of the day; a segment that is gone has one row, as `ended`.

    Args:
        segments: The segments of the day.
        past: Rows of `SegmentHistory` of earlier runs.
        day: The day.
        stability: That of the chosen number of clusters; None where nothing was clustered.
    """
    meters = sum(each.profiles.height for each in segments)
    rows = [
        {
            "day": day,
            "segment_id": each.identity.segment_id,
            "segment_name": each.name,
            "state": each.identity.state,
            "meters": each.profiles.height,
            "share": each.profiles.height / meters,
            "mean_kw": each.profiles["mean_kw"].mean(),
            "night_share": each.profiles["night_share"].mean(),
            "weekend_share": each.profiles["weekend_share"].mean(),
            "peak_hour": _find_usual_peak(each.profiles["peak_hour"]),
            "moved": each.identity.moved,
            "stability": None if each.identity.segment_id == FEED_IN else stability,
        }
        for each in segments
    ]
    present = {each.identity.segment_id for each in segments}
    rows += [
        {"day": day, "segment_id": gone, "segment_name": name, "state": "ended", "meters": 0}
        | {"share": 0.0}
        for gone, name in _select_last_alive(past).select("segment_id", "segment_name").rows()
        if gone not in present
    ]
    types = {name: column.dtype for name, column in SegmentHistory.columns().items()}
    return SegmentHistory.validate(
        pl.DataFrame(rows, schema=types).sort("day", "segment_id"), cast=True
    )


def _pick_by_label(values: Sequence[str], labels: I64) -> pl.Series:
    return pl.Series([values[label] for label in labels.tolist()], dtype=pl.String)


def _to_nullable(values: F32) -> pl.Series:
    return pl.Series(values.astype(np.float64), dtype=pl.Float64).fill_nan(None)
