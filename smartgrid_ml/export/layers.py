"""Networks of dense layers in TensorFlow operations, float64 throughout."""

from collections.abc import Callable
from typing import Any

import numpy as np

from smartgrid_ml.automl.searched_network import SearchedNetwork
from smartgrid_ml.export.scaled_graph import standardise_in_graph
from smartgrid_ml.forecasting.layer_graph import (
    LayerFunctions,
    LayerGraph,
    evaluate_graph,
    trace_layer_graph,
)
from smartgrid_ml.forecasting.standardising import STANDARD_LIMIT
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_keras_model_graph(model: Any) -> Callable[[Any], Any]:
    """Return the answers of a Keras model of the layers that `trace_layer_graph` knows."""
    return _build_first_output(trace_layer_graph(model))


def build_searched_network_graph(model: SearchedNetwork) -> Callable[[Any], Any]:
    """Return what an architecture search found, in the steps of `SearchedNetwork.predict`."""
    tf = tensorflow()
    networks = [_build_first_output(network) for network in model.networks]

    def answer(inputs: Any) -> Any:
        known = standardise_in_graph(
            inputs, mean=model.input_mean, std=model.input_std, farthest=STANDARD_LIMIT
        )
        line = tf.linalg.matvec(known, tf.constant(model.slopes)) + model.intercept
        least, most = model.bounds
        added = tf.add_n([network(known) for network in networks]) / len(networks)
        return tf.clip_by_value(line + added * model.residual_std, least, most)

    return answer


def _build_first_output(graph: LayerGraph) -> Callable[[Any], Any]:
    """Return a function of inputs (batch, features) to the network's first output, (batch,)."""
    functions = make_tensorflow_functions()
    tf = tensorflow()
    return lambda inputs: tf.reshape(evaluate_graph(graph, inputs, functions), [-1])


def make_tensorflow_functions() -> LayerFunctions:
    """Return the steps of a LayerGraph in TensorFlow."""
    tf = tensorflow()

    def relu(values: Any, slope: float, threshold: float, most: float) -> Any:
        answer = tf.where(values >= threshold, values, slope * (values - threshold))
        return answer if np.isinf(most) else tf.minimum(answer, tf.constant(most, values.dtype))

    return LayerFunctions(
        concatenate=lambda given: tf.concat(given, axis=-1),
        reshape=lambda values, shape: tf.reshape(values, [-1, *shape]),
        activations={
            "relu": relu,
            "tanh": tf.tanh,
            "sigmoid": tf.sigmoid,
            "softplus": tf.nn.softplus,
            "elu": tf.nn.elu,
            "silu": lambda values: values * tf.sigmoid(values),
        },
    )
