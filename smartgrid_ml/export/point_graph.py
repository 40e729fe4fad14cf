"""The prediction of a PointForecaster in TensorFlow operations, step by step as it says itself."""

from typing import Any

import numpy as np

from smartgrid_ml.export.regressors import regressor_graph
from smartgrid_ml.forecasting.point import PointForecaster
from smartgrid_ml.tensorflow_runtime import tensorflow


def point_graph(forecaster: PointForecaster) -> Any:
    """A function of inputs, float64 (batch, feature_names), to loads, float64 (batch, 3)."""
    tf = tensorflow()
    names = list(forecaster.feature_names)
    is_scaled = np.array([name in forecaster.scaled_features for name in names])
    scale_at = names.index(forecaster.scale_feature)
    lead_at = names.index(forecaster.lead_feature)
    answer = regressor_graph(forecaster.model)
    last_lead = float(forecaster.offsets.shape[1] - 1)

    def loads(inputs: Any) -> Any:
        size = inputs[:, scale_at, tf.newaxis]
        answered = answer(tf.where(is_scaled, inputs / size, inputs))
        lead = tf.floor(inputs[:, lead_at])
        lead = tf.where(tf.math.is_nan(lead), tf.zeros_like(lead), lead)
        offsets = tf.gather(
            tf.constant(forecaster.offsets.T.copy()),
            tf.cast(tf.clip_by_value(lead, 0.0, last_lead), tf.int32),
        )
        quantiles = tf.sort(answered[:, tf.newaxis] + offsets, axis=1) * size
        return tf.where(size > 0, quantiles, tf.constant(np.nan, tf.float64))

    return loads
