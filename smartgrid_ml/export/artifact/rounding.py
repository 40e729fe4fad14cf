"""Numbers as libraries round them, in TensorFlow operations."""

from typing import Any

from smartgrid_ml.tensorflow_runtime import tensorflow

LEAST_NORMAL = 2.0**-126
LEAST = 2.0**-149
"""Of float32: the smallest that is not denormal, and the smallest of all."""


def to_float64(served: Any) -> Any:
    """Return float32 as float64, exactly: TensorFlow's own cast takes denormal numbers for zero."""
    tf = tensorflow()
    bits = tf.bitcast(served, tf.int32)
    size = tf.cast(tf.bitwise.bitwise_and(bits, 2**23 - 1), tf.float64) * LEAST
    is_denormal = tf.equal(tf.bitwise.bitwise_and(bits, 0xFF << 23), 0)
    return tf.where(is_denormal, tf.where(bits < 0, -size, size), tf.cast(served, tf.float64))


def as_float32(numbers: Any) -> Any:
    """Return float64 rounded to the nearest float32, as float64: what some trees compare.

    Denormal ones are kept, which TensorFlow's own cast takes for zero.
    """
    tf = tensorflow()
    rounded = tf.cast(tf.cast(numbers, tf.float32), tf.float64)
    denormal = tf.round(numbers / LEAST) * LEAST  # half to even, as the cast rounds
    return tf.where(tf.abs(numbers) < LEAST_NORMAL, denormal, rounded)
