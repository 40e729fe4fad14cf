"""The Keras forecaster's prediction in TensorFlow operations, in the forecaster's own steps."""

from collections.abc import Callable
from typing import Any

from smartgrid_ml.export.scaled_graph import build_scaled_graph, standardise_in_graph
from smartgrid_ml.forecasting.keras_network import KerasForecaster
from smartgrid_ml.forecasting.standardising import STANDARD_LIMIT
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_keras_graph(forecaster: KerasForecaster) -> Callable[[Any], Any]:
    """Return a function of inputs, float64 (batch, feature_names), to loads, float64 (batch, 3)."""
    tf = tensorflow()
    network = forecaster.network

    def answer(features: Any) -> Any:
        known = standardise_in_graph(
            features, mean=forecaster.input_mean, std=forecaster.input_std, farthest=STANDARD_LIMIT
        )
        layer = known
        for kernel, bias in network.hidden:
            layer = tf.nn.relu(layer @ kernel + bias)
        kernel, bias = network.head
        middle, below, above = tf.unstack(tf.concat([layer, known], axis=1) @ kernel + bias, axis=1)
        answers = tf.stack(
            [middle - tf.nn.softplus(below), middle, middle + tf.nn.softplus(above)], axis=1
        )
        return answers * forecaster.target_std + forecaster.target_mean

    return build_scaled_graph(forecaster, offsets=forecaster.offsets, answer=answer)
