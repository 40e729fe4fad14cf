"""Array types of the detectors, and what arrays with unknown values (NaN) say, row by row."""

import bottleneck as bn
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LEAST_KNOWN_SHARE = 0.5
"""A span with fewer known values has no median."""


def count_run_lengths(same: Bools, *, start: Floats) -> Floats:
    """Return how many True values in a row end at each place, float64 (n, n_steps).

    ``same``: bool (n, n_steps). ``start``: float64 (n,), the length that a run has already which
    begins with the first step.

    >>> count_run_lengths(np.array([[True, True, False, True]]), start=np.array([5.0])).tolist()
    [[6.0, 7.0, 0.0, 1.0]]
    """
    place = np.arange(1, same.shape[1] + 1)
    broken = np.maximum.accumulate(np.where(same, 0, place[None, :]), axis=1)
    length = (place[None, :] - broken).astype(np.float64)
    return np.where((broken == 0) & same, length + start[:, None], length)


def compute_rolling_median(rows: Floats, length: int, *, last: int) -> Floats:
    """Return the median of the `length` values up to each of the `last` ones, (n, last).

    ``rows``: float64 (n, m), NaN is unknown. NaN comes back where over half are unknown.

    >>> compute_rolling_median(np.array([[1.0, 5.0, np.nan, np.nan]]), 2, last=3).tolist()
    [[3.0, 5.0, nan]]
    """
    least = max(1, int(np.ceil(LEAST_KNOWN_SHARE * length)))
    return np.asarray(bn.move_median(rows, length, min_count=least, axis=1)[:, -last:])


def compute_median(values: Floats, *, axis: int) -> Floats:
    """Return the median of what is known along the axis; NaN where nothing is.

    >>> compute_median(np.array([[1.0, np.nan, 4.0], [np.nan, np.nan, np.nan]]), axis=1).tolist()
    [2.5, nan]
    """
    return np.asarray(bn.nanmedian(values, axis=axis))


def find_largest(values: Floats) -> Floats:
    """Return the largest known value of each row, (n,); NaN where none is. ``values``: (n, m)."""
    return np.asarray(bn.nanmax(values, axis=1))
