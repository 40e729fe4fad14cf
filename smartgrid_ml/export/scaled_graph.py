"""The steps that the graphs of all forecasters share: scaling, offsets, order, loads."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from smartgrid_core.arrays import F64
from smartgrid_ml.tensorflow_runtime import tensorflow


class ScaledForecaster(Protocol):
    """A forecaster of loads in units of their size."""

    lead_feature: str
    """The input that holds the lead, hours."""
    scale_feature: str
    """The input that holds the size, in the unit of the load."""
    feature_names: Sequence[str]
    """All inputs, in order."""
    scaled_features: Sequence[str]
    """The inputs in the unit of the load."""


def build_scaled_graph(
    forecaster: ScaledForecaster, *, offsets: F64, answer: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """Return a function of inputs, float64 (batch, feature_names), to loads, float64 (batch, 3).

    `answer` gets the inputs with `scaled_features` divided by the size, and gives P10, P50, P90 in
    units of it, (batch, 3) or one number for all, (batch, 1). `offsets`, (3, leads), are added by
    the whole hour of lead, the last one beyond it, the first if it is unknown.
    """
    tf = tensorflow()
    names = list(forecaster.feature_names)
    is_scaled = np.array([name in forecaster.scaled_features for name in names])
    scale_at = names.index(forecaster.scale_feature)
    lead_at = names.index(forecaster.lead_feature)
    by_lead, last_lead = np.ascontiguousarray(offsets.T), float(offsets.shape[1] - 1)

    def loads(inputs: Any) -> Any:
        size = inputs[:, scale_at, tf.newaxis]
        lead = tf.floor(inputs[:, lead_at])
        lead = tf.where(tf.math.is_nan(lead), tf.zeros_like(lead), lead)
        place = tf.cast(tf.clip_by_value(lead, 0.0, last_lead), tf.int32)
        moved = answer(tf.where(is_scaled, inputs / size, inputs)) + tf.gather(
            tf.constant(by_lead), place
        )
        return tf.sort(moved, axis=1) * size

    return loads


def standardise_in_graph(inputs: Any, *, mean: F64, std: F64, farthest: float) -> Any:
    """Return standard deviations from the mean, cut off and 0 where unknown, (batch, columns).

    Args:
        inputs: float64 (batch, columns), a tensor; NaN is unknown.
        mean: (columns,)
        std: (columns,), positive.
        farthest: at so many standard deviations, to either side, an input is cut off.

    Returns:
        The operations of `forecasting.standardising.standardise_inputs` on a tensor.
    """
    tf = tensorflow()
    standard = (inputs - mean) / std
    cut = tf.clip_by_value(standard, -farthest, farthest)
    return tf.where(tf.math.is_nan(standard), tf.zeros_like(cut), cut)
