"""Linear models and small networks of scikit-learn in TensorFlow operations."""

from typing import Any

import numpy as np

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph, get_class_path
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_linear_graph(model: Any) -> Graph:
    """Return features times coefficients plus intercept.

    Raises PublicationError for several outputs.
    """
    tf = tensorflow()
    coefficients = np.atleast_2d(np.asarray(model.coef_, np.float64))
    intercept = np.asarray(model.intercept_, np.float64).reshape(-1)
    if coefficients.shape[0] != 1 or len(intercept) != 1:
        raise _build_outputs_error(model)
    return lambda features: tf.linalg.matvec(features, coefficients[0]) + intercept[0]


def build_constant_graph(model: Any) -> Graph:
    """Return the one number that a dummy answers. Raises PublicationError for several outputs."""
    tf = tensorflow()
    constant = np.asarray(model.constant_, np.float64).reshape(-1)
    if len(constant) != 1:
        raise _build_outputs_error(model)
    return lambda features: tf.fill([tf.shape(features)[0]], tf.constant(constant[0]))


def build_network_graph(model: Any) -> Graph:
    """Return a perceptron's answer. Raises PublicationError for several outputs."""
    tf = tensorflow()
    activations = {
        "identity": lambda numbers: numbers,
        "logistic": tf.math.sigmoid,
        "tanh": tf.math.tanh,
        "relu": tf.nn.relu,
    }
    between = activations[model.activation]
    if model.n_outputs_ != 1:
        raise _build_outputs_error(model)
    layers = [
        (np.asarray(weights, np.float64), np.asarray(bias, np.float64))
        for weights, bias in zip(model.coefs_, model.intercepts_, strict=True)
    ]

    def predict(features: Any) -> Any:
        numbers = features
        for place, (weights, bias) in enumerate(layers):
            numbers = tf.linalg.matmul(between(numbers) if place else numbers, weights) + bias
        return activations[model.out_activation_](numbers)[:, 0]

    return predict


def _build_outputs_error(model: Any) -> PublicationError:
    """Return the error of a model of several outputs."""
    return PublicationError(f"export: a {get_class_path(model)} of several outputs; train one each")
