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
    """Transformers in their order, then the regressor."""
    *steps, (_, last) = pipeline.steps
    prepare, predict = _chain_steps(steps), build_regressor_graph(last)
    return lambda features: predict(prepare(features))


def build_steps_graph(pipeline: Any) -> Graph:
    """A pipeline of nothing but transformers."""
    return _chain_steps(pipeline.steps)


def _chain_steps(steps: Sequence[tuple[str, Any]]) -> Graph:
    graphs = [_build_part(step) for _, step in steps if step is not None]

    def transform(features: Any) -> Any:
        for graph in graphs:
            features = graph(features)
        return features

    return transform


def build_union_graph(union: Any) -> Graph:
    """Several transformers of the same features, side by side."""
    tf = tensorflow()
    weights = union.transformer_weights or {}
    parts = [
        (_build_part(one), float(weights.get(name, 1.0)))
        for name, one in union.transformer_list
        if not _is_word(one, "drop")
    ]
    return lambda features: tf.concat([part(features) * weight for part, weight in parts], axis=1)


def build_columns_graph(transformer: Any) -> Graph:
    """Transformers of some features each, side by side."""
    tf = tensorflow()
    weights = transformer.transformer_weights or {}
    places_of = transformer._transformer_to_input_indices
    parts = [
        (build_selection_graph(places_of[name]), _build_part(one), float(weights.get(name, 1.0)))
        for name, one, _ in transformer.transformers_
        if not _is_word(one, "drop") and len(places_of[name])
    ]
    return lambda features: tf.concat(
        [part(choose(features)) * weight for choose, part, weight in parts], axis=1
    )


def _build_part(one: Any) -> Graph:
    return (
        (lambda features: features)
        if _is_word(one, "passthrough")
        else build_transformer_graph(one)
    )


def _is_word(one: Any, word: str) -> bool:
    return isinstance(one, str) and one == word


def build_stacking_graph(model: Any) -> Graph:
    """The last regressor of what the others answer, and of the features if it sees them."""
    tf = tensorflow()
    below = [build_regressor_graph(one) for one in model.estimators_]
    last = build_regressor_graph(model.final_estimator_)

    def predict(features: Any) -> Any:
        answers = tf.stack([one(features) for one in below], axis=1)
        return last(tf.concat([answers, features], axis=1) if model.passthrough else answers)

    return predict


def build_voting_graph(model: Any) -> Graph:
    """The weighted mean of what the regressors answer."""
    kept = [
        1.0 if model.weights is None else float(model.weights[place])
        for place, (_, one) in enumerate(model.estimators)
        if not _is_word(one, "drop")
    ]
    return _build_weighted_mean([build_regressor_graph(one) for one in model.estimators_], kept)


def build_bagging_graph(model: Any) -> Graph:
    """The mean of regressors that see some of the features each."""
    chosen = [build_selection_graph(places) for places in model.estimators_features_]
    graphs = [build_regressor_graph(one) for one in model.estimators_]
    return _build_weighted_mean(
        [_compose(choose, graph) for choose, graph in zip(chosen, graphs, strict=True)],
        [1.0] * len(graphs),
    )


def _compose(first: Graph, second: Graph) -> Graph:
    return lambda features: second(first(features))


def _build_weighted_mean(graphs: Sequence[Graph], weights: Sequence[float]) -> Graph:
    tf = tensorflow()
    total = sum(weights)
    return lambda features: (
        tf.add_n([one(features) * weight for one, weight in zip(graphs, weights, strict=True)])
        / total
    )


def build_adaboost_graph(model: Any) -> Graph:
    """The weighted median of what the regressors answer."""
    tf = tensorflow()
    graphs = [build_regressor_graph(one) for one in model.estimators_]
    weights = np.asarray(model.estimator_weights_, np.float64)[: len(graphs)]

    def predict(features: Any) -> Any:
        answers = tf.stack([one(features) for one in graphs], axis=1)
        order = tf.argsort(answers, axis=1, stable=True)
        sums = tf.cumsum(tf.gather(tf.constant(weights), order), axis=1)
        reached = tf.cast(sums >= 0.5 * sums[:, -1:], tf.int32)
        median = tf.gather(order, tf.argmax(reached, axis=1), axis=1, batch_dims=1)
        return tf.gather(answers, median, axis=1, batch_dims=1)

    return predict


def build_transformed_target_graph(model: Any) -> Graph:
    """The regressor's answer, brought back to the target it was made from."""
    predict, back = build_regressor_graph(model.regressor_), _build_inverse(model.transformer_)
    return lambda features: back(predict(features))


def _build_inverse(transformer: Any) -> Graph:
    """The inverse of a transformer of the target, one number per row."""
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
