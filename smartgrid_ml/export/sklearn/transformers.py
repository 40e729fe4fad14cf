"""Fitted transformers of scikit-learn in TensorFlow operations, each as its `transform`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph, get_class_path
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_selector_graph(selector: Any) -> Graph:
    """Return the features that the selector chose."""
    return build_selection_graph(selector.get_support(indices=True))


def build_selection_graph(places: npt.ArrayLike) -> Graph:
    """Return the features at these places, in this order."""
    tf = tensorflow()
    chosen = np.asarray(places, np.int32)
    return lambda features: tf.gather(features, chosen, axis=1)


def build_imputer_graph(imputer: Any) -> Graph:
    """Return features with a statistic where they are missing, and then indicators, if any."""
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
    """Return 1 where a feature is missing, else 0, of the features that the indicator watches."""
    tf = tensorflow()
    is_missing = _build_missing_test(indicator.missing_values)
    watched = build_selection_graph(indicator.features_)
    return lambda features: tf.cast(is_missing(watched(features)), tf.float64)


def _build_missing_test(missing_values: Any) -> Graph:
    """Return a function of features to bool (batch, features): whether each is missing.

    Raises PublicationError for a marker that is no number.
    """
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
    """Return features minus the mean, divided by the deviation, if the scaler does so."""
    return _build_shift_and_divide(
        scaler.mean_ if scaler.with_mean else None, scaler.scale_ if scaler.with_std else None
    )


def build_robust_scaler_graph(scaler: Any) -> Graph:
    """Return features minus the median, divided by the quantile range, if the scaler does so."""
    return _build_shift_and_divide(
        scaler.center_ if scaler.with_centering else None,
        scaler.scale_ if scaler.with_scaling else None,
    )


def _build_shift_and_divide(shift: Any, scale: Any) -> Graph:
    """Return (features - shift) / scale, both (features,); None leaves a step out."""

    def transform(features: Any) -> Any:
        if shift is not None:
            features = features - np.asarray(shift, np.float64)
        return features if scale is None else features / np.asarray(scale, np.float64)

    return transform


def build_min_max_scaler_graph(scaler: Any) -> Graph:
    """Return features in the range that the least and the most of training were brought to."""
    scale, least = np.asarray(scaler.scale_, np.float64), np.asarray(scaler.min_, np.float64)

    def transform(features: Any) -> Any:
        scaled = features * scale + least
        return _clip(scaled, *scaler.feature_range) if scaler.clip else scaled

    return transform


def build_max_abs_scaler_graph(scaler: Any) -> Graph:
    """Return features divided by training's largest magnitude."""
    scale = np.asarray(scaler.scale_, np.float64)

    def transform(features: Any) -> Any:
        scaled = features / scale
        return _clip(scaled, -1.0, 1.0) if getattr(scaler, "clip", False) else scaled

    return transform


def _clip(numbers: Any, least: float, most: float) -> Any:
    """Return the numbers cut off at `least` and `most`; NaN stays."""
    tf = tensorflow()
    clipped = tf.clip_by_value(numbers, float(least), float(most))
    return tf.where(tf.math.is_nan(numbers), numbers, clipped)


def build_normalizer_graph(normalizer: Any) -> Graph:
    """Return each row divided by its norm; a row of zeros stays."""
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
    """Return 1 above the threshold, else 0."""
    tf = tensorflow()
    return lambda features: tf.cast(features > float(binarizer.threshold), tf.float64)


def build_polynomial_graph(polynomial: Any) -> Graph:
    """Return products of features, up to the degree."""
    tf = tensorflow()
    powers = np.asarray(polynomial.powers_, np.int64)
    n_terms, n_features = powers.shape
    # Of each product its factors; the place after the last feature holds a one.
    factors = np.full((n_terms, max(1, int(powers.sum(axis=1).max(initial=0)))), n_features)
    for term, row in enumerate(powers):
        term_factors = np.repeat(np.arange(n_features), row)
        factors[term, : len(term_factors)] = term_factors

    def transform(features: Any) -> Any:
        padded = tf.pad(features, [[0, 0], [0, 1]], constant_values=tf.constant(1.0, tf.float64))
        product = tf.gather(padded, factors[:, 0].astype(np.int32), axis=1)
        for place in range(1, factors.shape[1]):
            product *= tf.gather(padded, factors[:, place].astype(np.int32), axis=1)
        return product

    return transform


def build_pca_graph(pca: Any) -> Graph:
    """Return projections on the principal components, whitened if the PCA does so."""
    tf = tensorflow()
    components = np.asarray(pca.components_, np.float64).T
    centre = np.asarray(pca.mean_, np.float64) @ components
    scale = np.ones(components.shape[1])
    if pca.whiten:
        deviation = np.sqrt(np.asarray(pca.explained_variance_, np.float64))
        scale = np.maximum(deviation, np.finfo(np.float64).eps)
    return lambda features: (tf.linalg.matmul(features, components) - centre) / scale


def build_function_graph(transformer: Any) -> Graph:
    """Return the features as they are, or a function that `build_numpy_function_graph` knows."""
    return build_numpy_function_graph(transformer.func, part=get_class_path(transformer))


def build_numpy_function_graph(function: Any, *, part: str) -> Graph:
    """Return NumPy's function in TensorFlow; None is the identity.

    Raises PublicationError for any other function, whose operations cannot be known.
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
            f" numpy's {', '.join(ufunc.__name__ for ufunc in known if ufunc)}"
        )
    return known[function]
