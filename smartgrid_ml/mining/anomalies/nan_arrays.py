"""What arrays with unknown values (NaN) say, row by row; nothing warns of what is unknown."""

import numpy as np

from smartgrid_ml.mining.anomalies.expected_range import Bools, Floats

LEAST_KNOWN_SHARE = 0.5
"""Of a span with fewer known values nothing is said."""


def count_run_lengths(same: Bools, *, start: Floats) -> Floats:
    """How many true values end here; a run that begins with the day goes on from `start`."""
    place = np.arange(1, same.shape[1] + 1)
    broken = np.maximum.accumulate(np.where(same, 0, place[None, :]), axis=1)
    length = (place[None, :] - broken).astype(np.float64)
    return np.where((broken == 0) & same, length + start[:, None], length)


def compute_rolling_median(rows: Floats, length: int, *, last: int) -> Floats:
    """Median of the `length` values up to each of the `last` ones; NaN if half are unknown."""
    windows = np.lib.stride_tricks.sliding_window_view(rows, length, axis=1)[:, -last:]
    known = np.isfinite(windows).sum(axis=2)
    return np.where(known >= LEAST_KNOWN_SHARE * length, compute_median(windows, axis=2), np.nan)


def compute_median(values: Floats, *, axis: int) -> Floats:
    """The median of what is known; NaN where nothing is."""
    ordered = np.sort(np.moveaxis(values, axis, -1), axis=-1)
    known = np.isfinite(ordered).sum(axis=-1)[..., None]
    low = np.take_along_axis(ordered, np.maximum(known - 1, 0) // 2, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(known // 2, ordered.shape[-1] - 1), axis=-1)
    return np.asarray(np.where(known > 0, (low + high) / 2, np.nan)[..., 0])


def find_largest(values: Floats) -> Floats:
    """The largest known value of each row, (n,); NaN where none is known. ``values``: (n, m)."""
    known = np.isfinite(values)
    return np.where(known.any(axis=1), np.where(known, values, -np.inf).max(axis=1), np.nan)
