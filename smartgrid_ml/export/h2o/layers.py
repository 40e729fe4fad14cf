"""GLM and DeepLearning of H2O in TensorFlow operations.

Sources: GlmMojoModel, DeeplearningMojoModel and ActivationFunctions of h2o-genmodel 3.46.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from smartgrid_core.arrays import F64
from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.export.h2o.links import build_inverse_link
from smartgrid_ml.export.h2o.mojo import Mojo
from smartgrid_ml.tensorflow_runtime import tensorflow

LOG_DISTRIBUTIONS = ("poisson", "gamma", "tweedie")
"""Of DeepLearning: all other distributions of a regression answer as they are."""


def build_glm_graph(mojo: Mojo) -> Graph:
    """Return weights times unscaled inputs, unknown ones as their mean, through the inverse link.

    Raises PublicationError for a link other than identity and log.
    """
    tf = tensorflow()
    *weights, intercept = mojo.read_value("beta")
    means = np.array(mojo.read_value("num_means") or [], np.float64)
    imputes = bool(mojo.read_value("mean_imputation"))
    link = mojo.info["link"]
    if link not in ("identity", "log"):
        raise PublicationError(f"H2O: a GLM with the link {link!r} cannot be exported")

    def predict(features: Any) -> Any:
        known = tf.where(tf.math.is_nan(features), means, features) if imputes else features
        eta = tf.linalg.matvec(known, np.array(weights, np.float64)) + intercept
        return tf.exp(eta) if link == "log" else eta

    return predict


def build_deep_learning_graph(mojo: Mojo) -> Graph:
    """Return standardised inputs through all layers and back in the unit of the target.

    An unknown input counts as its mean. Raises PublicationError for Maxout and an autoencoder.
    """
    tf = tensorflow()
    activation = mojo.info["activation"]
    hidden_activation = {"Rectifier": tf.nn.relu, "Tanh": tf.math.tanh}.get(
        activation.removesuffix("WithDropout")
    )
    if hidden_activation is None:
        raise PublicationError(
            f"H2O: DeepLearning with the activation {activation} cannot be exported: use Rectifier"
            " or Tanh, with or without dropout"
        )
    sizes = mojo.read_value("neural_network_sizes")
    layers = _read_layers(mojo, sizes)
    drops = activation.endswith("WithDropout")
    kept = (
        [1.0 - ratio for ratio in mojo.read_value("hidden_dropout_ratios") or []] if drops else []
    )
    factor, shift = (
        np.array(mojo.read_value(key) or [neutral] * sizes[0], np.float64)
        for key, neutral in (("norm_mul", 1.0), ("norm_sub", 0.0))
    )
    (target_factor,) = mojo.read_value("norm_resp_mul") or [1.0]
    (target_shift,) = mojo.read_value("norm_resp_sub") or [0.0]
    link = build_inverse_link(
        "log" if mojo.info["distribution"] in LOG_DISTRIBUTIONS else "identity"
    )

    def predict(features: Any) -> Any:
        standard = (features - shift) * factor
        layer = tf.where(tf.math.is_nan(standard), tf.zeros_like(standard), standard)
        for place, (kernel, bias) in enumerate(layers[:-1]):
            layer = hidden_activation(layer @ kernel + bias)
            if drops:
                layer *= kept[place]
        kernel, bias = layers[-1]
        answer = tf.squeeze(layer @ kernel + bias, axis=1)
        return link(answer / target_factor + target_shift)

    return predict


def _read_layers(mojo: Mojo, sizes: Sequence[int]) -> list[tuple[F64, F64]]:
    """Return kernel (inputs, units) and bias (units,) of every layer; `sizes`: units per layer."""
    return [
        (
            np.array(mojo.read_value(f"weight_layer{place}"), np.float64).reshape(units, inputs).T,
            np.array(mojo.read_value(f"bias_layer{place}"), np.float64),
        )
        for place, (inputs, units) in enumerate(pairwise(sizes))
    ]
