"""Medians of what is known, against the plainest way to compute them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from smartgrid_ml.mining.anomalies.nan_arrays import (
    compute_median,
    compute_rolling_median,
    count_run_lengths,
    find_largest,
)

VALUES = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20),
    elements=st.floats(-1e9, 1e9) | st.just(np.nan),
)


def take_plain_median(values: np.ndarray) -> float:
    known = np.sort(values[np.isfinite(values)])
    if not known.size:
        return np.nan
    return (known[(known.size - 1) // 2] + known[known.size // 2]) / 2


@given(VALUES)
def test_median_and_largest_are_of_what_is_known(values: np.ndarray):
    medians = [take_plain_median(row) for row in values]
    np.testing.assert_array_equal(compute_median(values, axis=1), medians)
    np.testing.assert_array_equal(compute_median(values.T, axis=0), medians)
    largest = [max(row[np.isfinite(row)], default=np.nan) for row in values]
    np.testing.assert_array_equal(find_largest(values), largest)


@given(VALUES, st.data())
def test_a_rolling_median_is_the_median_of_each_window(values: np.ndarray, data):
    length = data.draw(st.integers(1, values.shape[1]))
    last = data.draw(st.integers(1, values.shape[1] - length + 1))

    rolling = compute_rolling_median(values, length, last=last)

    ends = range(values.shape[1] - last + 1, values.shape[1] + 1)
    windows = [[row[end - length : end] for end in ends] for row in values]
    plain = [
        [take_plain_median(w) if np.isfinite(w).sum() * 2 >= length else np.nan for w in row]
        for row in windows
    ]
    np.testing.assert_array_equal(rolling, plain)


def test_a_run_goes_on_over_midnight_until_it_is_broken():
    same = np.array([[True, True, False, True], [False, True, True, True]])
    lengths = count_run_lengths(same, start=np.array([5.0, 7.0]))
    assert lengths.tolist() == [[6.0, 7.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0]]
