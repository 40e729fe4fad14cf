"""Writes a SavedModel of two inputs, in a process of its own: argv[1] is the new folder."""

import sys

import tensorflow as tf


def sums(a, b):
    return {"p10": a + b - 1, "p50": a + b, "p90": a + b + 1}


batch = {name: tf.TensorSpec([None], tf.float32, name) for name in ("a", "b")}
signature = tf.function(sums).get_concrete_function(**batch)
tf.saved_model.save(tf.Module(), sys.argv[1], signatures={"serving_default": signature})
