"""scikit-learn's encoders of categories that are numbers, in TensorFlow operations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from smartgrid_core.arrays import F64
from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_one_hot_graph(encoder: Any) -> Graph:
    """Return a 1 for the category, zeros for one that training did not have."""
    tf = tensorflow()
    if encoder.handle_unknown != "ignore":
        raise PublicationError(
            f"export: a OneHotEncoder with handle_unknown={encoder.handle_unknown!r}, a model"
            " server cannot raise: use 'ignore'"
        )
    every = _read_categories(encoder)
    dropped = encoder.drop_idx_ if encoder.drop_idx_ is not None else [None] * len(every)
    kept = [
        np.delete(categories, drop) if drop is not None else categories
        for categories, drop in zip(every, dropped, strict=True)
    ]

    def transform(features: Any) -> Any:
        return tf.concat(
            [
                tf.cast(_match_categories(features[:, place], categories), tf.float64)
                for place, categories in enumerate(kept)
            ],
            axis=1,
        )

    return transform


def build_ordinal_graph(encoder: Any) -> Graph:
    """Return the category's place; the encoder's own numbers for an unknown one and for NaN."""
    tf = tensorflow()
    if encoder.handle_unknown != "use_encoded_value":
        raise PublicationError(
            f"export: an OrdinalEncoder with handle_unknown={encoder.handle_unknown!r}, a model"
            " server cannot raise: use 'use_encoded_value'"
        )
    every = _read_categories(encoder)

    def encode(feature: Any, categories: F64) -> Any:
        codes = np.arange(len(categories), dtype=np.float64)
        codes[np.isnan(categories)] = encoder.encoded_missing_value
        equal = _match_categories(feature, categories)
        code = tf.gather(tf.constant(codes), tf.argmax(tf.cast(equal, tf.int32), axis=1))
        return tf.where(tf.reduce_any(equal, axis=1), code, float(encoder.unknown_value))

    def transform(features: Any) -> Any:
        return tf.stack(
            [encode(features[:, place], categories) for place, categories in enumerate(every)],
            axis=1,
        )

    return transform


def _read_categories(encoder: Any) -> Sequence[F64]:
    """Return the categories of every feature, (categories,) each.

    Raises PublicationError if infrequent ones are grouped, or if some are no numbers.
    """
    if getattr(encoder, "_infrequent_enabled", False):
        raise PublicationError(
            f"export: a {type(encoder).__name__} that groups infrequent categories; train without"
            " min_frequency and max_categories"
        )
    try:
        return [np.asarray(categories, np.float64) for categories in encoder.categories_]
    except ValueError as not_a_number:
        raise PublicationError(
            f"export: a {type(encoder).__name__} of categories that are no numbers; give them codes"
        ) from not_a_number


def _match_categories(feature: Any, categories: F64) -> Any:
    """Return whether the row has the category, bool (batch, categories); NaN equals NaN."""
    tf = tensorflow()
    equal = tf.equal(feature[:, tf.newaxis], tf.constant(categories))
    return equal | (tf.math.is_nan(feature)[:, tf.newaxis] & np.isnan(categories))
