"""Profiles as points between which distances mean something."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from smartgrid_core.arrays import F32
from smartgrid_core.contracts.segments import HOURS
from smartgrid_core.features.profiles import WEEKDAYS, WEEKEND_DAYS

Points = F32
"""Profiles as points, (n_profiles, n_columns)."""

SHAPE_COLUMNS = 2 * HOURS
"""Those of a weekday and of a weekend day."""

VARIABILITY_WEIGHT = 0.3
"""Days that differ by their whole mean then count like a shape that differs in a third of its
energy; without it a car that charges now and then looks like a household."""

MOST_VARIABLE = 2.0
"""One long day in two months would otherwise outweigh every hour of the day."""


def build_profile_points(profiles: pl.DataFrame) -> Points:
    """Return rows of `ConsumerProfiles` as points, float32 (n, 49).

    The columns are those of `build_shape_points` and the weighted variability.
    """
    shapes = build_shape_points(
        profiles["weekday_shape"].to_numpy().reshape(-1, HOURS),
        profiles["weekend_shape"].to_numpy().reshape(-1, HOURS),
    )
    varies = np.minimum(profiles["variability"].to_numpy(), MOST_VARIABLE) * VARIABILITY_WEIGHT
    return np.hstack([shapes, varies[:, None].astype(np.float32)])


def build_shape_points(weekday: NDArray[np.floating], weekend: NDArray[np.floating]) -> Points:
    """Return mean-normalised shapes, each (n, 24), as points on the unit sphere, float32 (n, 48).

    A shape is the distribution of a standard week's energy over its hours; the square root makes
    the distance of two a Hellinger distance (times the root of 2), in which one extreme hour does
    not outweigh all others. Neighbouring hours are blended 1:2:1 around the clock, so that an
    evening peak at 18 is nearer to one at 19 than to one at 7.
    """
    week = WEEKDAYS + WEEKEND_DAYS
    parts = [
        _blend_hours(np.asarray(shape, dtype=np.float32)) * np.float32(days / week / HOURS)
        for shape, days in ((weekday, WEEKDAYS), (weekend, WEEKEND_DAYS))
    ]
    return np.sqrt(np.hstack(parts)).astype(np.float32, copy=False)


def _blend_hours(shape: Points) -> Points:
    """Return shapes, (n, 24), with each hour blended 1:2:1 with its neighbours."""
    around = np.roll(shape, 1, axis=1) + np.roll(shape, -1, axis=1)
    return np.asarray((around + 2 * shape) / 4, dtype=np.float32)
