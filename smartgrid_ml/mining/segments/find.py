"""From profiles to segments with identity, name and typical day: one call, no store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from smartgrid_core.contracts.segments import (
    DAY_KINDS,
    HOURS,
    ConsumerSegments,
    SegmentBands,
    SegmentHistory,
)
from smartgrid_ml.mining.segments.identity import (
    SegmentIdentity,
    compute_centre,
    find_known_segments,
    identify_segments,
)
from smartgrid_ml.mining.segments.kmeans import (
    FEWEST_POINTS,
    MOST_CLUSTERS,
    Assignment,
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
    """What was found: rows of three tables, and why there are so many segments.

    `members`: `ConsumerSegments` by meter_id; `history`: `SegmentHistory` of `day`; `bands`:
    `SegmentBands` of `day`. `tried` has a row per number of clusters, empty for too few meters;
    `chosen` is the one that was taken, None where nothing was clustered.
    """

    members: pl.DataFrame
    history: pl.DataFrame
    bands: pl.DataFrame
    tried: Sequence[ClusterTrial]
    chosen: ClusterTrial | None
    why: str


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
    """Segments of `ConsumerProfiles` without outliers; their identity from the runs before `day`.

    ``history`` and ``bands``: rows of `SegmentHistory` and `SegmentBands`; those of `day` and later
    are not looked at, so that a repeated run says the same. Segments are numbered by size, the
    largest first, where they are new. Feed-in registers are one segment of their own, beside
    at most ``most`` others.
    """
    profiles = profiles.sort("meter_id")
    drawing = profiles.filter(~pl.col("is_feed_in"))
    feeding = profiles.filter(pl.col("is_feed_in"))
    before = _select_before(SegmentHistory, history, day)
    past = before.filter(pl.col("segment_id") != FEED_IN)
    past_bands = _select_before(SegmentBands, bands, day).filter(pl.col("segment_id") != FEED_IN)
    labels, distance, margin, tried, chosen, why = _cluster_profiles(
        drawing, engine=engine, seed=seed, most=most, last=_count_last_segments(past)
    )
    found = int(labels.max()) + 1 if len(labels) else 0
    parts = [drawing.filter(pl.Series(labels == label)) for label in range(found)]
    typical = [_build_typical_day(part, day=day) for part in parts]
    known = find_known_segments(past, past_bands)
    identities = identify_segments(
        np.array([compute_centre(rows) for rows in typical]).reshape(found, SHAPE_COLUMNS), known
    )
    names = _name_segments(parts, identities, taken={each.name for each in known})
    if feeding.height:
        parts, typical = [*parts, feeding], [*typical, _build_typical_day(feeding, day=day)]
        identities = [*identities, _identify_feed_in(before)]
        names = [*names, FEED_IN_NAME]
    label_of = np.concatenate([labels, np.full(feeding.height, found)]).astype(np.int64)
    none = np.full(feeding.height, np.nan, dtype=np.float32)
    members = pl.concat([drawing, feeding]).select(
        "meter_id",
        day=pl.lit(day),
        segment_id=_pick_by_label([each.segment_id for each in identities], label_of),
        segment_name=_pick_by_label(names, label_of),
        distance=_to_nullable(np.concatenate([distance, none])),
        margin=_to_nullable(np.concatenate([margin, none])),
    )
    all_bands = [
        rows.with_columns(segment_id=pl.lit(each.segment_id))
        for rows, each in zip(typical, identities, strict=True)
    ]
    return Segments(
        members=ConsumerSegments.validate(members.sort("meter_id"), cast=True),
        history=_build_history(
            parts,
            identities,
            names,
            past=before,
            day=day,
            stability=chosen.stability if chosen else None,
            of=profiles.height,
        ),
        bands=SegmentBands.validate(
            pl.concat(
                [SegmentBands.create_empty(), *(_order_columns(rows) for rows in all_bands)]
            ).sort(SegmentBands.primary_key()),
            cast=True,
        ),
        tried=tried,
        chosen=chosen,
        why=why,
    )


def _cluster_profiles(
    drawing: pl.DataFrame, *, engine: CentreFinder, seed: int, most: int, last: int | None
) -> tuple[
    NDArray[np.int64],
    NDArray[np.float32],
    NDArray[np.float32],
    Sequence[ClusterTrial],
    ClusterTrial | None,
    str,
]:
    """Labels from 0, the largest cluster first, and how they came about."""
    points = build_profile_points(drawing)
    if len(points) < FEWEST_POINTS:
        tried: Sequence[ClusterTrial] = ()
        k, why = 1, f"{len(points)} meters are too few to tell apart, {FEWEST_POINTS} are needed"
    else:
        tried = try_cluster_counts(points, seed=seed, most=most)
        k, why = choose_cluster_count(tried, last=last)
    if not len(points):
        nothing = np.empty(0, dtype=np.float32)
        return np.empty(0, dtype=np.int64), nothing, nothing, tried, None, why
    centres = points.mean(axis=0, keepdims=True)
    if k > 1:
        centres = engine.centres(points, k=k, seed=seed)
    by = assign_points(points, centres)
    chosen = next((each for each in tried if each.k == k), None)
    return _number_by_size(by), by.distance, by.margin, tried, chosen, why


def _number_by_size(by: Assignment) -> NDArray[np.int64]:
    """Labels without gaps, by size; of equals, the one whose first meter comes first."""
    values, first, counts = np.unique(by.labels, return_index=True, return_counts=True)
    rank = {int(values[place]): new for new, place in enumerate(np.lexsort((first, -counts)))}
    lookup = np.zeros(int(values.max()) + 1, dtype=np.int64)
    for old, new in rank.items():
        lookup[old] = new
    return lookup[by.labels]


def _select_before(schema: type[dy.Schema], rows: pl.DataFrame | None, day: date) -> pl.DataFrame:
    empty: pl.DataFrame = schema.create_empty()
    return empty if rows is None else rows.filter(pl.col("day") < day)


def _count_last_segments(past: pl.DataFrame) -> int | None:
    """How many segments the last run clustered; None for none."""
    if past.is_empty():
        return None
    return past.filter(pl.col("day") == pl.col("day").max(), pl.col("state") != "ended").height


def _identify_feed_in(past: pl.DataFrame) -> SegmentIdentity:
    """Feed-in registers are who they are, however their days look."""
    seen = past.filter(pl.col("segment_id") == FEED_IN).sort("day")
    if seen.is_empty():
        return SegmentIdentity(FEED_IN, "new")
    is_alive = seen["state"][-1] != "ended"
    return SegmentIdentity(FEED_IN, "kept" if is_alive else "returned", FEED_IN_NAME)


def _build_typical_day(part: pl.DataFrame, *, day: date) -> pl.DataFrame:
    """Rows of `SegmentBands` without their segment_id: quantiles over the meters, hour by hour."""
    kw = part["mean_kw"].to_numpy()
    rows = []
    for kind in DAY_KINDS:
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


def _order_columns(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(SegmentBands.column_names())


def _name_segments(
    parts: Sequence[pl.DataFrame], identities: Sequence[SegmentIdentity], *, taken: set[str | None]
) -> list[str]:
    """Names of kept segments stay; new ones say what sets them apart from all meters."""
    if not parts:
        return []
    used = {name for name in taken if name is not None} | {FEED_IN_NAME}
    of_meters = [compute_traits(part) for part in parts]
    scale = measure_scale(pl.concat(of_meters))
    names = []
    for each, of_part in zip(identities, of_meters, strict=True):
        name = each.name
        if name is None:
            is_alone = len(parts) == 1 and EVERYONE not in used
            name = EVERYONE if is_alone else _choose_new_name(of_part, scale=scale, taken=used)
        used.add(name)
        names.append(name)
    return names


def _choose_new_name(of_part: pl.DataFrame, *, scale: TraitScale, taken: set[str]) -> str:
    typical: Mapping[str, float] = {
        **of_part.select(TRAITS).mean().row(0, named=True),
        "peak_hour": _find_usual_peak(of_part["peak_hour"]),
    }
    return choose_name(typical, scale=scale, taken=taken)


def _find_usual_peak(hours: pl.Series) -> int:
    """The hour at which most meters peak, the earlier of equals."""
    counts = hours.value_counts().sort("count", hours.name, descending=[True, False])
    return int(counts[hours.name][0])


def _build_history(
    parts: Sequence[pl.DataFrame],
    identities: Sequence[SegmentIdentity],
    names: Sequence[str],
    *,
    past: pl.DataFrame,
    day: date,
    stability: float | None,
    of: int,
) -> pl.DataFrame:
    rows = [
        {
            "day": day,
            "segment_id": each.segment_id,
            "segment_name": name,
            "state": each.state,
            "meters": part.height,
            "share": part.height / of,
            "mean_kw": part["mean_kw"].mean(),
            "night_share": part["night_share"].mean(),
            "weekend_share": part["weekend_share"].mean(),
            "peak_hour": _find_usual_peak(part["peak_hour"]),
            "moved": each.moved,
            "stability": None if each.segment_id == FEED_IN else stability,
        }
        for part, each, name in zip(parts, identities, names, strict=True)
    ]
    present = {each.segment_id for each in identities}
    last = past.filter(pl.col("day") == pl.col("day").max(), pl.col("state") != "ended")
    rows += [
        {"day": day, "segment_id": gone, "segment_name": name, "state": "ended", "meters": 0}
        | {"share": 0.0}
        for gone, name in last.select("segment_id", "segment_name").rows()
        if gone not in present
    ]
    types = {name: column.dtype for name, column in SegmentHistory.columns().items()}
    return SegmentHistory.validate(
        pl.DataFrame(rows, schema=types).sort("day", "segment_id"), cast=True
    )


def _pick_by_label(values: Sequence[str], labels: NDArray[np.int64]) -> pl.Series:
    return pl.Series([values[label] for label in labels.tolist()], dtype=pl.String)


def _to_nullable(values: NDArray[np.float32]) -> pl.Series:
    return pl.Series(values.astype(np.float64), dtype=pl.Float64).fill_nan(None)
