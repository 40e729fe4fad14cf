from typing import Any

import numpy as np
import pytest

from smartgrid_core.errors import PublicationError
from smartgrid_ml.automl.searched_network import SearchedNetwork, compute_bounds
from smartgrid_ml.export.regressors import build_regressor_graph
from smartgrid_ml.forecasting.layer_graph import trace_layer_graph
from smartgrid_ml.tensorflow_runtime import tensorflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tensorflow")]

ROWS, FEATURES = 10_000, 6


def model(build: Any) -> Any:
    """A functional model whose every weight, also of normalisations, was drawn."""
    tensorflow()
    import keras

    inputs = keras.Input((FEATURES,))
    made = keras.Model(inputs, build(keras.layers, inputs))
    random = np.random.default_rng(5)
    made.set_weights(
        [
            np.abs(random.normal(size=one.shape)) + 0.1
            if "variance" in weight.path
            else random.normal(size=one.shape)
            for weight, one in zip(made.weights, made.get_weights(), strict=True)
        ]
    )
    return made


def normalised(layers: Any, inputs: Any) -> Any:
    mean, variance = np.arange(FEATURES), np.arange(FEATURES) + 1.0
    return layers.Dense(1)(layers.Normalization(mean=mean, variance=variance)(inputs))


def what_autokeras_builds(layers: Any, inputs: Any) -> Any:
    layer = inputs
    for units in (16, 8):
        layer = layers.Dropout(0.5)(
            layers.ReLU()(layers.BatchNormalization()(layers.Dense(units)(layer)))
        )
    return layers.Dense(1)(layers.Concatenate()([layer, inputs]))


def with_a_short_cut(layers: Any, inputs: Any) -> Any:
    layer = layers.Dense(FEATURES, activation="tanh", use_bias=False)(inputs)
    return layers.Dense(1)(layers.Add()([layer, inputs, layer]))


def with_one_layer_twice(layers: Any, inputs: Any) -> Any:
    shared = layers.Dense(FEATURES, activation="softplus")
    return layers.Dense(1)(shared(shared(inputs)))


def reshaped(layers: Any, inputs: Any) -> Any:
    rows = layers.Reshape((2, FEATURES // 2))(inputs)
    return layers.Dense(1)(layers.Flatten()(layers.Dense(4, activation="elu")(rows)))


def cut_and_leaking(layers: Any, inputs: Any) -> Any:
    cut = layers.ReLU(max_value=6.0, negative_slope=0.1, threshold=0.5)(layers.Dense(8)(inputs))
    leaking = layers.LeakyReLU(negative_slope=0.3)(layers.Dense(8)(inputs))
    smooth = layers.Activation("silu")(layers.Dense(8, activation="sigmoid")(inputs))
    return layers.Dense(1)(layers.Concatenate()([cut, leaking, smooth]))


def models_within_models(layers: Any, inputs: Any) -> Any:
    import keras

    inner = keras.Sequential([keras.Input((FEATURES,)), layers.Dense(4), layers.ReLU()])
    return layers.Dense(1)(inner(layers.Dense(FEATURES)(inputs)))


EXPORTABLE = (
    normalised,
    what_autokeras_builds,
    with_a_short_cut,
    with_one_layer_twice,
    reshaped,
    cut_and_leaking,
    models_within_models,
)


@pytest.mark.parametrize("build", EXPORTABLE, ids=lambda build: build.__name__)
def test_a_keras_model_of_dense_layers_says_in_tensorflow_what_it_says_itself(build: Any):
    made = model(build)
    inputs = np.random.default_rng(1).normal(size=(ROWS, FEATURES)) * 10

    exported = tensorflow().function(build_regressor_graph(made), autograph=False)(inputs).numpy()
    offline = made.predict(inputs.astype(np.float32), batch_size=ROWS, verbose=0).reshape(-1)
    plain = trace_layer_graph(made).predict(inputs)

    assert exported.dtype == np.float64
    np.testing.assert_allclose(exported, plain, rtol=1e-9, atol=1e-9)
    scale = np.maximum(np.abs(offline), 1.0)
    assert (np.abs(exported - offline) / scale).max() < 1e-4


def test_a_sequential_model_is_exported_too():
    tensorflow()
    import keras

    made = keras.Sequential(
        [keras.Input((FEATURES,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)]
    )
    inputs = np.random.default_rng(1).normal(size=(ROWS, FEATURES))

    offline = made.predict(inputs.astype(np.float32), batch_size=ROWS, verbose=0).reshape(-1)
    np.testing.assert_allclose(
        build_regressor_graph(made)(inputs).numpy(), offline, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("build", "culprit"),
    [
        (lambda layers, x: layers.Dense(1)(layers.LSTM(3)(layers.Reshape((2, 3))(x))), "LSTM"),
        (lambda layers, x: layers.Dense(1, activation="softmax")(x), "Dense with activation"),
        (
            lambda layers, x: layers.Dense(1)(
                layers.Flatten()(layers.BatchNormalization(axis=1)(layers.Reshape((2, 3))(x)))
            ),
            "BatchNormalization over axis 1",
        ),
    ],
    ids=["recurrent", "softmax", "inner axis"],
)
def test_a_layer_without_export_is_named(build: Any, culprit: str):
    with pytest.raises(PublicationError, match=rf"layer '.*' is a {culprit}.*use Dense"):
        build_regressor_graph(model(build))


def test_a_searched_network_is_exported_to_the_last_digits_also_where_inputs_are_absurd():
    random = np.random.default_rng(3)
    network = SearchedNetwork(
        input_mean=random.normal(size=FEATURES),
        input_std=np.abs(random.normal(size=FEATURES)) + 0.1,
        slopes=random.normal(size=FEATURES) / 20,
        intercept=0.3,
        residual_std=0.01,
        bounds=compute_bounds(np.array([0.1, 4.0])),
        networks=[
            trace_layer_graph(model(what_autokeras_builds)),
            trace_layer_graph(model(with_a_short_cut)),
        ],
    )
    inputs = random.normal(size=(ROWS, FEATURES))
    for odd in (np.nan, 1e30, -1e30, 0.0, np.inf, -np.inf):
        inputs[random.random(inputs.shape) < 0.1] = odd

    exported = build_regressor_graph(network)(inputs).numpy()
    offline = network.predict(inputs)

    np.testing.assert_allclose(exported, offline, rtol=1e-9, atol=1e-12)
    assert np.isfinite(exported).all()
    assert exported.min() >= 0.0, "a load that was never negative is not forecast to be"
    assert exported.max() <= 4.0 + 0.25 * 3.9
    assert len(np.unique(exported)) > ROWS / 10
