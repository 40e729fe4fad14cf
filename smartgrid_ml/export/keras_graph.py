"""The Keras forecaster's prediction in TensorFlow operations, step by step as it says itself."""

from typing import Any

import numpy as np

from smartgrid_ml.forecasting.keras_network import FARTHEST, KerasForecaster
from smartgrid_ml.tensorflow_runtime import tensorflow


def keras_graph(forecaster: KerasForecaster) -> Any:
    """A function of inputs, float64 (batch, feature_names), to loads, float64 (batch, 3)."""
    tf = tensorflow()
    names = list(forecaster.feature_names)
    is_scaled = np.array([name in forecaster.scaled_features for name in names])
    scale_at = names.index(forecaster.scale_feature)
    lead_at = names.index(forecaster.lead_feature)
    network = forecaster.network

    def loads(inputs: Any) -> Any:
        scale = inputs[:, scale_at, tf.newaxis]
        scaled = tf.where(is_scaled, inputs / scale, inputs)
        standard = (scaled - forecaster.input_mean) / forecaster.input_std
        cut = tf.clip_by_value(standard, -FARTHEST, FARTHEST)
        known = tf.where(tf.math.is_nan(standard), tf.zeros_like(cut), cut)
        layer = known
        for kernel, bias in network.hidden:
            layer = tf.nn.relu(layer @ kernel + bias)
        kernel, bias = network.head
        middle, below, above = tf.unstack(tf.concat([layer, known], axis=1) @ kernel + bias, axis=1)
        answers = tf.stack(
            [middle - tf.nn.softplus(below), middle, middle + tf.nn.softplus(above)], axis=1
        )
        quantiles = answers * forecaster.target_std + forecaster.target_mean
        lead = tf.floor(inputs[:, lead_at])
        last_lead = float(forecaster.offsets.shape[1] - 1)
        lead = tf.where(tf.math.is_nan(lead), tf.zeros_like(lead), lead)
        moved = quantiles + tf.gather(
            tf.constant(forecaster.offsets.T.copy()),
            tf.cast(tf.clip_by_value(lead, 0.0, last_lead), tf.int32),
        )
        return tf.sort(moved, axis=1) * scale

    return loads
