"""What scikit-learn composes of other models, in TensorFlow operations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from smartgrid_core.errors import PublicationError
from smartgrid_ml.export.exportable import Graph, build_transformer_graph, get_class_path
from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.export.sklearn.transformers import (
    build_numpy_function_graph,
    build_selection_graph,
)
from smartgrid_ml.tensorflow_runtime import tensorflow


def build_pipeline_graph(pipeline: Any) -> Graph:
    """Return transformers in their order, then the regressor."""
    *steps, (_, last) = pipeline.steps
    prepare, predict = _chain_steps(steps), build_regressor_graph(last)
    return lambda features: predict(prepare(features))


def build_steps_graph(pipeline: Any) -> Graph:
    """Return a pipeline of nothing but transformers."""
    return _chain_steps(pipeline.steps)


def _chain_steps(steps: Sequence[tuple[str, Any]]) -> Graph:
    """Return the named transformers one after the other."""
    graphs = [_build_part(step) for _, step in steps if step is not None]

    def transform(features: Any) -> Any:
        for graph in graphs:
            features = graph(features)
        return features

    return transform


def build_union_graph(union: Any) -> Graph:
    """Return several transformers of the same features, side by side."""
    tf = tensorflow()
    weights = union.transformer_weights or {}
    parts = [
        (_build_part(part), float(weights.get(name, 1.0)))
        for name, part in union.transformer_list
        if not _is_word(part, "drop")
    ]
    return lambda features: tf.concat([part(features) * weight for part, weight in parts], axis=1)


def build_columns_graph(transformer: Any) -> Graph:
    """Return transformers of some features each, side by side."""
    tf = tensorflow()
    weights = transformer.transformer_weights or {}
    places_of = transformer._transformer_to_input_indices
    parts = [
        (build_selection_graph(places_of[name]), _build_part(part), float(weights.get(name, 1.0)))
        for name, part, _ in transformer.transformers_
        if not _is_word(part, "drop") and len(places_of[name])
    ]
    return lambda features: tf.concat(
        [part(choose(features)) * weight for choose, part, weight in parts], axis=1
    )


def _build_part(part: Any) -> Graph:
    """Return a transformer's graph, or the features as they are for "passthrough"."""
    if _is_word(part, "passthrough"):
        return lambda features: features
    return build_transformer_graph(part)


def _is_word(part: Any, word: str) -> bool:
    return isinstance(part, str) and part == word


def build_stacking_graph(model: Any) -> Graph:
    """Return the last regressor of the others' answers, and of the features if it sees them."""
    tf = tensorflow()
    below = [build_regressor_graph(part) for part in model.estimators_]
    last = build_regressor_graph(model.final_estimator_)

    def predict(features: Any) -> Any:
        answers = tf.stack([graph(features) for graph in below], axis=1)
        return last(tf.concat([answers, features], axis=1) if model.passthrough else answers)

    return predict


def build_voting_graph(model: Any) -> Graph:
    """Return the weighted mean of the regressors' answers."""
    kept = [
        1.0 if model.weights is None else float(model.weights[place])
        for place, (_, part) in enumerate(model.estimators)
        if not _is_word(part, "drop")
    ]
    return _build_weighted_mean([build_regressor_graph(part) for part in model.estimators_], kept)


def build_bagging_graph(model: Any) -> Graph:
    """Return the mean of regressors that see some of the features each."""
    chosen = [build_selection_graph(places) for places in model.estimators_features_]
    graphs = [build_regressor_graph(part) for part in model.estimators_]
    return _build_weighted_mean(
        [_compose(choose, graph) for choose, graph in zip(chosen, graphs, strict=True)],
        [1.0] * len(graphs),
    )


def _compose(first: Graph, second: Graph) -> Graph:
    """Return the second function of the first one's result."""
    return lambda features: second(first(features))


def _build_weighted_mean(graphs: Sequence[Graph], weights: Sequence[float]) -> Graph:
    """Return the mean of the graphs' answers, weighted; the weights need not sum to one."""
    tf = tensorflow()
    total = sum(weights)
    return lambda features: (
        tf.add_n([graph(features) * weight for graph, weight in zip(graphs, weights, strict=True)])
        / total
    )


def build_adaboost_graph(model: Any) -> Graph:
    """Return the weighted median of the regressors' answers."""
    tf = tensorflow()
    graphs = [build_regressor_graph(part) for part in model.estimators_]
    weights = np.asarray(model.estimator_weights_, np.float64)[: len(graphs)]

    def predict(features: Any) -> Any:
        answers = tf.stack([graph(features) for graph in graphs], axis=1)
        order = tf.argsort(answers, axis=1, stable=True)
        sums = tf.cumsum(tf.gather(tf.constant(weights), order), axis=1)
        reached = tf.cast(sums >= 0.5 * sums[:, -1:], tf.int32)
        median = tf.gather(order, tf.argmax(reached, axis=1), axis=1, batch_dims=1)
        return tf.gather(answers, median, axis=1, batch_dims=1)

    return predict


def build_transformed_target_graph(model: Any) -> Graph:
    """Return the regressor's answer in the unit of the target before its transformation."""
    predict, back = build_regressor_graph(model.regressor_), _build_inverse(model.transformer_)
    return lambda features: back(predict(features))


def _build_inverse(transformer: Any) -> Graph:
    """Return the inverse of a transformer of the target, one number per row.

    Raises PublicationError for a transformer other than a scaler or a function.
    """
    kind = get_class_path(transformer).rsplit(".", 1)[1]
    if kind == "FunctionTransformer":
        return build_numpy_function_graph(
            transformer.inverse_func, part="TransformedTargetRegressor"
        )
    if kind == "StandardScaler":
        scale, shift = transformer.scale_, transformer.mean_
    elif kind == "RobustScaler":
        scale, shift = transformer.scale_, transformer.center_
    elif kind == "MaxAbsScaler":
        scale, shift = transformer.scale_, None
    elif kind == "MinMaxScaler" and not transformer.clip:
        scale, shift = 1 / transformer.scale_, -transformer.min_ / transformer.scale_
    else:
        raise PublicationError(
            f"export: a target transformed by {kind}; use a scaler of scikit-learn or none"
        )
    factor = 1.0 if scale is None else float(scale[0])
    return lambda answer: answer * factor + (0.0 if shift is None else float(shift[0]))
