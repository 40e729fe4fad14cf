"""Fitted transformers of scikit-learn in TensorFlow operations, each as its `transform` counts."""

from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph, get_class_path
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_selector_graph(selector: Any) -> Graph:
    """Some of the features: whatever was chosen by, what it chose is all that counts."""
    return build_selection_graph(selector.get_support(indices=True))


def build_selection_graph(places: npt.ArrayLike) -> Graph:
    """The features at these places, in this order."""
    tf = tensorflow()
    chosen = np.asarray(places, np.int32)
    return lambda features: tf.gather(features, chosen, axis=1)


def build_imputer_graph(imputer: Any) -> Graph:
    """What is missing becomes its feature's statistic; indicators of it follow."""
    tf = tensorflow()
    statistics = np.asarray(imputer.statistics_, np.float64)
    kept = (
        np.arange(len(statistics))
        if imputer.keep_empty_features
        else np.flatnonzero(~np.isnan(statistics))
    )
    is_missing = _build_missing_test(imputer.missing_values)
    indicator = build_indicator_graph(imputer.indicator_) if imputer.add_indicator else None

    def transform(features: Any) -> Any:
        known = tf.gather(features, kept.astype(np.int32), axis=1)
        filled = tf.where(is_missing(known), statistics[kept], known)
        return tf.concat([filled, indicator(features)], axis=1) if indicator else filled

    return transform


def build_indicator_graph(indicator: Any) -> Graph:
    """1 where a feature is missing, of the features that the indicator watches."""
    tf = tensorflow()
    is_missing = _build_missing_test(indicator.missing_values)
    watched = build_selection_graph(indicator.features_)
    return lambda features: tf.cast(is_missing(watched(features)), tf.float64)


def _build_missing_test(missing_values: Any) -> Graph:
    tf = tensorflow()
    if not isinstance(missing_values, (int, float, np.number)):
        raise PublicationError(
            f"export: an imputer of {missing_values!r}; only numbers and NaN can be missing"
        )
    if np.isnan(missing_values):
        is_nan: Graph = tf.math.is_nan
        return is_nan
    return lambda features: tf.equal(features, float(missing_values))


def build_standard_scaler_graph(scaler: Any) -> Graph:
    """Minus the mean, divided by the deviation, if it was asked to."""
    return _build_shift_and_divide(
        scaler.mean_ if scaler.with_mean else None, scaler.scale_ if scaler.with_std else None
    )


def build_robust_scaler_graph(scaler: Any) -> Graph:
    """Minus the median, divided by the range of quantiles, if it was asked to."""
    return _build_shift_and_divide(
        scaler.center_ if scaler.with_centering else None,
        scaler.scale_ if scaler.with_scaling else None,
    )


def _build_shift_and_divide(shift: Any, scale: Any) -> Graph:
    def transform(features: Any) -> Any:
        if shift is not None:
            features = features - np.asarray(shift, np.float64)
        return features if scale is None else features / np.asarray(scale, np.float64)

    return transform


def build_min_max_scaler_graph(scaler: Any) -> Graph:
    """Into the range, by the least and most that were seen."""
    tf = tensorflow()
    scale, least = np.asarray(scaler.scale_, np.float64), np.asarray(scaler.min_, np.float64)

    def transform(features: Any) -> Any:
        scaled = features * scale + least
        return _clip(tf, scaled, *scaler.feature_range) if scaler.clip else scaled

    return transform


def build_max_abs_scaler_graph(scaler: Any) -> Graph:
    """Divided by the largest magnitude that was seen."""
    tf = tensorflow()
    scale = np.asarray(scaler.scale_, np.float64)

    def transform(features: Any) -> Any:
        scaled = features / scale
        return _clip(tf, scaled, -1.0, 1.0) if getattr(scaler, "clip", False) else scaled

    return transform


def _clip(tf: Any, numbers: Any, least: float, most: float) -> Any:
    clipped = tf.clip_by_value(numbers, float(least), float(most))
    return tf.where(tf.math.is_nan(numbers), numbers, clipped)


def build_normalizer_graph(normalizer: Any) -> Graph:
    """Each row divided by its norm; a row of zeros stays."""
    tf = tensorflow()
    norms: dict[str, Graph] = {
        "l1": lambda rows: tf.reduce_sum(tf.abs(rows), axis=1, keepdims=True),
        "l2": lambda rows: tf.sqrt(tf.reduce_sum(rows * rows, axis=1, keepdims=True)),
        "max": lambda rows: tf.reduce_max(tf.abs(rows), axis=1, keepdims=True),
    }
    norm_of = norms[normalizer.norm]

    def transform(features: Any) -> Any:
        norm = norm_of(features)
        return features / tf.where(tf.equal(norm, 0.0), tf.ones_like(norm), norm)

    return transform


def build_binarizer_graph(binarizer: Any) -> Graph:
    """1 above the threshold, else 0."""
    tf = tensorflow()
    return lambda features: tf.cast(features > float(binarizer.threshold), tf.float64)


def build_polynomial_graph(polynomial: Any) -> Graph:
    """Products of features, up to the degree."""
    tf = tensorflow()
    powers = np.asarray(polynomial.powers_, np.int64)
    n_terms, n_features = powers.shape
    # Of each product its factors; the place after the last feature holds a one.
    factors = np.full((n_terms, max(1, int(powers.sum(axis=1).max(initial=0)))), n_features)
    for term, row in enumerate(powers):
        held = np.repeat(np.arange(n_features), row)
        factors[term, : len(held)] = held

    def transform(features: Any) -> Any:
        padded = tf.pad(features, [[0, 0], [0, 1]], constant_values=tf.constant(1.0, tf.float64))
        product = tf.gather(padded, factors[:, 0].astype(np.int32), axis=1)
        for place in range(1, factors.shape[1]):
            product *= tf.gather(padded, factors[:, place].astype(np.int32), axis=1)
        return product

    return transform


def build_pca_graph(pca: Any) -> Graph:
    """Projected on the principal components, whitened if it was asked to."""
    tf = tensorflow()
    components = np.asarray(pca.components_, np.float64).T
    centre = np.asarray(pca.mean_, np.float64) @ components
    scale = np.ones(components.shape[1])
    if pca.whiten:
        deviation = np.sqrt(np.asarray(pca.explained_variance_, np.float64))
        scale = np.maximum(deviation, np.finfo(np.float64).eps)
    return lambda features: (tf.linalg.matmul(features, components) - centre) / scale


def build_function_graph(transformer: Any) -> Graph:
    """The features as they are, or one of the functions of `FUNCTIONS` of them."""
    return build_numpy_function_graph(transformer.func, part=get_class_path(transformer))


def build_numpy_function_graph(function: Any, *, part: str) -> Graph:
    """NumPy's function in TensorFlow; None is the identity.

    Raises PublicationError for any other: what a function of Python does nobody can read.
    """
    tf = tensorflow()
    known: dict[Any, Graph] = {
        None: lambda numbers: numbers,
        np.log1p: tf.math.log1p,
        np.expm1: tf.math.expm1,
        np.log: tf.math.log,
        np.exp: tf.math.exp,
        np.sqrt: tf.math.sqrt,
        np.square: tf.math.square,
        np.abs: tf.math.abs,
    }
    if function not in known:
        raise PublicationError(
            f"export: a {part} of {getattr(function, '__name__', function)!r}; use none or one of"
            f" numpy's {', '.join(one.__name__ for one in known if one)}"
        )
    return known[function]
