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
    """A segment of earlier runs: its name, where it was last seen, and whether it still lives."""

    segment_id: str
    name: str
    centre: Points
    is_alive: bool


@dataclass(frozen=True, slots=True)
class SegmentIdentity:
    """Who a newly found segment is; `name` and `moved` are None for one never seen before."""

    segment_id: str
    state: str
    name: str | None = None
    moved: float | None = None


def identify_segments(
    centres: Points, known: Sequence[KnownSegment], *, limit: float = MOST_MOVED
) -> list[SegmentIdentity]:
    """One identity per row of `centres`, (n, 48) as `shape_points` makes them.

    Centres are matched with the living segments, what is left with those that have ended, each time
    so that the sum of distances is least (Hungarian method, scipy's linear_sum_assignment); no pair
    is further apart than `limit`. The order of the centres does not matter, except that of new
    segments for the numbers they get: `S1`, `S2`, ..., never one that was used before.
    """
    found: dict[int, SegmentIdentity] = {}
    for state, is_alive in (("kept", True), ("returned", False)):
        open_rows = [row for row in range(len(centres)) if row not in found]
        candidates = [each for each in known if each.is_alive == is_alive]
        for row, place, moved in _match_centres(centres[open_rows], candidates, limit=limit):
            match = candidates[place]
            found[open_rows[row]] = SegmentIdentity(match.segment_id, state, match.name, moved)
    number = max((int(each.segment_id[1:]) for each in known), default=0)
    for row in range(len(centres)):
        if row not in found:
            number += 1
            found[row] = SegmentIdentity(f"S{number}", "new")
    return [found[row] for row in range(len(centres))]


def _match_centres(
    centres: Points, known: Sequence[KnownSegment], *, limit: float
) -> list[tuple[int, int, float]]:
    from scipy.optimize import linear_sum_assignment

    if not len(centres) or not known:
        return []
    there = np.array([each.centre for each in known])
    apart = np.linalg.norm(centres[:, None, :] - there[None, :, :], axis=2)
    # A pair beyond the limit costs what leaving both alone costs, so that it never forces others.
    rows, places = linear_sum_assignment(np.minimum(apart, limit))
    return [
        (int(row), int(place), float(apart[row, place]))
        for row, place in zip(rows, places, strict=True)
        if apart[row, place] <= limit
    ]


def find_known_segments(history: pl.DataFrame, bands: pl.DataFrame) -> list[KnownSegment]:
    """The segments of earlier runs as they were last seen; by segment_id.

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
    seen = bands.filter(pl.col("day") == pl.col("day").max().over("segment_id"))
    return [
        KnownSegment(segment_id, names[segment_id], compute_centre(rows), segment_id in living)
        for (segment_id,), rows in sorted(
            seen.partition_by("segment_id", as_dict=True).items(), key=lambda item: str(item[0][0])
        )
        if segment_id in names
    ]


def compute_centre(bands: pl.DataFrame) -> Points:
    """The point of a segment's mean shapes, float32 (48,): rows of `SegmentBands` of one day."""
    shapes = [
        bands.filter(pl.col("day_kind") == kind).sort("hour")["mean"].to_numpy().reshape(1, HOURS)
        for kind in DAY_KINDS
    ]
    return build_shape_points(*shapes).reshape(-1)
