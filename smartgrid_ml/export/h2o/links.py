"""Inverse link functions of H2O's models."""

from typing import Any

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.tensorflow_runtime import tensorflow

LARGEST = 1e19
"""H2O answers no more than this where the link is a logarithm (hex.LogExpUtil)."""


def build_inverse_link(name: str) -> Graph:
    """Return the inverse of the link identity or log. Raises PublicationError for another."""
    if name == "identity":
        return lambda answer: answer
    if name == "log":
        return _exponentiate
    raise PublicationError(f"H2O: the link {name!r} cannot be exported: use identity or log")


def _exponentiate(answer: Any) -> Any:
    """Return exp(answer), at most LARGEST, float64 (batch,)."""
    tf = tensorflow()
    return tf.minimum(tf.exp(answer), tf.constant(LARGEST, tf.float64))
