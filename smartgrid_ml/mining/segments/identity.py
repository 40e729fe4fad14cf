"""Segments keep their identity from run to run: whose centre is where, and which one that was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from smartgrid_core.contracts.segments import DAY_KINDS, HOURS
from smartgrid_ml.mining.segments.profile_points import Points, build_shape_points

MOST_MOVED = 0.2
"""Further apart, two typical days are of different segments: on the sphere of shapes that is about
a seventh of all energy drawn at other hours."""


@dataclass(frozen=True, slots=True)
class KnownSegment:
    """A segment of earlier runs."""

    segment_id: str
    name: str
    centre: Points
    """The point of its last typical day, float32 (48,)."""
    is_alive: bool
    """Whether the last run found it."""


@dataclass(frozen=True, slots=True)
class SegmentIdentity:
    """Which segment a cluster of this run is."""

    segment_id: str
    state: str
    """One of SEGMENT_STATES, but never `ended`."""
    name: str | None = None
    """Its name in earlier runs; None for a new segment."""
    moved: float | None = None
    """How far its centre went since it was last found; None for a new segment."""


def identify_segments(
    centres: Points, known: Sequence[KnownSegment], *, limit: float = MOST_MOVED
) -> list[SegmentIdentity]:
    """Return one identity per row of `centres`, (n, 48) as `build_shape_points` makes them.

    Centres are matched with the living segments, what is left with those that have ended, each time
    so that the sum of distances is least (Hungarian method, scipy's linear_sum_assignment); no pair
    is further apart than `limit`. The order of the centres does not matter, except that of new
    segments for the numbers they get: `S1`, `S2`, ..., never one that was used before.
    """
    identities: dict[int, SegmentIdentity] = {}
    for state, is_alive in (("kept", True), ("returned", False)):
        open_rows = [row for row in range(len(centres)) if row not in identities]
        candidates = [segment for segment in known if segment.is_alive == is_alive]
        for row, place, moved in _match_centres(centres[open_rows], candidates, limit=limit):
            match = candidates[place]
            identities[open_rows[row]] = SegmentIdentity(match.segment_id, state, match.name, moved)
    number = max((int(segment.segment_id[1:]) for segment in known), default=0)
    for row in range(len(centres)):
        if row not in identities:
            number += 1
            identities[row] = SegmentIdentity(f"S{number}", "new")
    return [identities[row] for row in range(len(centres))]


def _match_centres(
    centres: Points, known: Sequence[KnownSegment], *, limit: float
) -> list[tuple[int, int, float]]:
    """Return row of `centres`, position in `known` and distance of every pair within `limit`."""
    from scipy.optimize import linear_sum_assignment

    if not len(centres) or not known:
        return []
    known_centres = np.array([segment.centre for segment in known])
    # distance of each centre to each known one, (n_centres, n_known)
    apart = np.linalg.norm(centres[:, None, :] - known_centres[None, :, :], axis=2)
    # A pair beyond the limit costs what leaving both alone costs, so that it never forces others.
    rows, places = linear_sum_assignment(np.minimum(apart, limit))
    return [
        (int(row), int(place), float(apart[row, place]))
        for row, place in zip(rows, places, strict=True)
        if apart[row, place] <= limit
    ]


def find_known_segments(history: pl.DataFrame, bands: pl.DataFrame) -> list[KnownSegment]:
    """Return the segments of earlier runs as they were last found, by segment_id.

    ``history``: rows of `SegmentHistory`; ``bands``: rows of `SegmentBands`; of segments that were
    found by their shapes.
    """
    if history.is_empty() or bands.is_empty():
        return []
    last_run = history["day"].max()
    living = set(
        history.filter(pl.col("day") == last_run, pl.col("state") != "ended")["segment_id"]
    )
    names: Mapping[str, str] = dict(
        history.sort("day").group_by("segment_id").agg(pl.col("segment_name").last()).rows()
    )
    last_bands = bands.filter(pl.col("day") == pl.col("day").max().over("segment_id"))
    return [
        KnownSegment(segment_id, names[segment_id], compute_centre(rows), segment_id in living)
        for (segment_id,), rows in sorted(
            last_bands.partition_by("segment_id", as_dict=True).items(),
            key=lambda item: str(item[0][0]),
        )
        if segment_id in names
    ]


def compute_centre(bands: pl.DataFrame) -> Points:
    """Return the point of a segment's mean shapes, float32 (48,).

    ``bands``: rows of `SegmentBands` of one segment and day.
    """
    shapes = [
        bands.filter(pl.col("day_kind") == kind).sort("hour")["mean"].to_numpy().reshape(1, HOURS)
        for kind in DAY_KINDS
    ]
    return build_shape_points(*shapes).reshape(-1)
