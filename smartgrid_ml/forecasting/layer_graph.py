"""A trained Keras network of dense layers as plain arrays, which NumPy evaluates in float64.

What is kept is small, can be pickled, and needs no Keras; an export repeats the same steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smartgrid_core.arrays import F64, I64
from smartgrid_core.errors import PublicationError

Values = Any
"""Arrays of NumPy or tensors of TensorFlow: the steps are the same."""

INFERENCE_NO_OPS = (
    "Dropout",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
)
"""Layers that do nothing when a model answers."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on the results of earlier ones; result 0 is the input (rows, features)."""

    kind: str
    """dense, affine, activation, concatenate, add or reshape"""
    sources: Sequence[int]
    """Places of the results that it works on."""
    weights: Sequence[F64] = ()
    """dense: kernel and bias; affine: what is multiplied and what is then added."""
    name: str = ""
    """Which activation."""
    numbers: Sequence[float] = ()
    """An activation's constants, or the shape of a row that is reshaped."""


@dataclass(frozen=True, slots=True)
class LayerGraph:
    """A network as steps, whatever library it was trained in."""

    steps: Sequence[Step]
    """In the order in which they can be taken; the first one's result has place 1."""
    answer: int
    """Place of the result that counts."""

    def predict(self, inputs: F64) -> F64:
        """Return the network's first output: float64 (rows, features) -> (rows,)."""
        return np.asarray(
            evaluate_graph(self, inputs, build_numpy_functions()), np.float64
        ).reshape(len(inputs))


@dataclass(frozen=True, slots=True)
class LayerFunctions:
    """What the steps are made of, in one library."""

    concatenate: Callable[[list[Values]], Values]
    """Joins values along the last axis."""
    reshape: Callable[[Values, Sequence[int]], Values]
    """Gives every row the shape."""
    activations: Mapping[str, Callable[..., Values]]
    """By name; each gets the values and the constants of its step."""


def evaluate_graph(graph: LayerGraph, inputs: Values, functions: LayerFunctions) -> Values:
    """Return the result of the graph's answer, in the library that `functions` are of."""
    results = [inputs]
    for step in graph.steps:
        operands = [results[source] for source in step.sources]
        match step.kind:
            case "dense":
                result = operands[0] @ step.weights[0] + step.weights[1]
            case "affine":
                result = operands[0] * step.weights[0] + step.weights[1]
            case "activation":
                result = functions.activations[step.name](operands[0], *step.numbers)
            case "concatenate":
                result = functions.concatenate(operands)
            case "add":
                result = sum(operands[1:], operands[0])
            case _:
                result = functions.reshape(operands[0], [int(size) for size in step.numbers])
        results.append(result)
    return results[graph.answer]


def build_numpy_functions() -> LayerFunctions:
    """Return the operations of the steps in NumPy."""
    return LayerFunctions(
        concatenate=lambda parts: np.concatenate(parts, axis=-1),
        reshape=lambda values, shape: values.reshape((-1, *shape)),
        activations={
            "relu": _relu,
            "tanh": np.tanh,
            "sigmoid": _sigmoid,
            "softplus": lambda values: np.logaddexp(0.0, values),
            "elu": lambda values: np.where(values > 0, values, np.expm1(np.minimum(values, 0.0))),
            "silu": lambda values: values * _sigmoid(values),
        },
    )


def _relu(values: F64, slope: float, threshold: float, most: float) -> F64:
    """Return a rectifier's answers.

    Args:
        values: float64 (rows, units).
        slope: of the line below the threshold.
        threshold: where that line meets zero.
        most: no answer is larger.

    Returns:
        float64 (rows, units).
    """
    answer = np.where(values >= threshold, values, slope * (values - threshold))
    return np.asarray(np.minimum(answer, most))


def _sigmoid(values: F64) -> F64:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))


PLAIN_RELU = (0.0, 0.0, float("inf"))
"""Slope below, threshold, and the most that it answers."""

_PARAMETERLESS_ACTIVATIONS = ("tanh", "sigmoid", "softplus", "elu", "silu")


def trace_layer_graph(model: Any) -> LayerGraph:
    """Return the steps of a functional or sequential Keras model of one input and one output.

    Raises PublicationError naming the first layer that is none of Dense, BatchNormalization,
    Normalization, ReLU, LeakyReLU, Activation, Concatenate, Add, Flatten, Reshape and those that
    do nothing when a model answers.
    """
    import keras

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise PublicationError(
            f"export: {model.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs;"
            " there is a SavedModel of networks of one each"
        )
    steps: list[Step] = []
    places: dict[int, int] = {}
    kept: list[Any] = []  # a tensor is known by its identity, which must not be used again

    def record_layer(layer: Any, *args: Any, **kwargs: Any) -> Any:
        answer = layer(*args, **kwargs)
        operands = args[0] if isinstance(args[0], list | tuple) else [args[0]]
        sources = [places[id(operand)] for operand in operands]
        place = sources[0]
        for step in _list_layer_steps(layer, sources, first=len(steps) + 1):
            steps.append(step)
            place = len(steps)
        places[id(answer)] = place
        kept.append(answer)
        return answer

    flat = keras.Model(model.inputs, model.outputs)
    start = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
    places[id(start)] = 0
    copy = keras.models.clone_model(
        flat,
        input_tensors=[start],
        clone_function=lambda layer: layer,
        call_function=record_layer,
    )
    return LayerGraph(tuple(steps), places[id(copy.outputs[0])])


def _list_layer_steps(  # noqa: PLR0911 - a table of layers
    layer: Any, sources: list[int], *, first: int
) -> list[Step]:
    """Return what a layer does, as steps of which the first gets the place `first`."""
    kind = type(layer).__name__
    weights = [np.asarray(each, np.float64) for each in layer.get_weights()]
    match kind:
        case "Dense":
            kernel = weights[0]
            bias = weights[1] if layer.use_bias else np.zeros(kernel.shape[1])
            return [Step("dense", sources, (kernel, bias)), *_list_activation_steps(layer, [first])]
        case "BatchNormalization":
            return [Step("affine", sources, _fold_batch_norm(layer, weights))]
        case "Normalization":
            return [Step("affine", sources, _fold_normalization(layer))]
        case "Activation":
            return _list_activation_steps(layer, sources)
        case "ReLU":
            most = float("inf") if layer.max_value is None else float(layer.max_value)
            numbers = (float(layer.negative_slope), float(layer.threshold), most)
            return [Step("activation", sources, name="relu", numbers=numbers)]
        case "LeakyReLU":
            numbers = (float(layer.negative_slope), 0.0, float("inf"))
            return [Step("activation", sources, name="relu", numbers=numbers)]
        case "Concatenate" if layer.axis in (-1, len(layer.output.shape) - 1):
            return [Step("concatenate", sources)]
        case "Add":
            return [Step("add", sources)]
        case "Flatten" | "Reshape":
            return [Step("reshape", sources, numbers=tuple(layer.output.shape[1:]))]
        case "Sequential" | "Functional":
            return _renumber_steps(trace_layer_graph(layer), source=sources[0], first=first)
        case "CastToFloat32":  # of AutoKeras, at the beginning of all that it builds
            return []
    if kind in INFERENCE_NO_OPS:
        return []
    raise _build_layer_error(layer, kind)


def _renumber_steps(inner: LayerGraph, *, source: int, first: int) -> list[Step]:
    """Return the steps of a model within a model; `source` is the place of its input outside."""
    if inner.answer != len(inner.steps):
        raise PublicationError("export: a model within a model does not answer with its last layer")
    return [
        replace(
            step, sources=[source if place == 0 else first - 1 + place for place in step.sources]
        )
        for step in inner.steps
    ]


def _list_activation_steps(layer: Any, sources: list[int]) -> list[Step]:
    name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
    if name == "linear":
        return []
    if name == "relu":
        return [Step("activation", sources, name="relu", numbers=PLAIN_RELU)]
    if name in _PARAMETERLESS_ACTIVATIONS:
        return [Step("activation", sources, name=name)]
    raise _build_layer_error(layer, f"{type(layer).__name__} with activation {name!r}")


def _fold_batch_norm(layer: Any, weights: list[F64]) -> tuple[F64, F64]:
    """Return what a batch normalization multiplies by and what it adds then."""
    _require_last_axis(layer, layer.axis)
    *trained, mean, variance = weights
    gamma = trained.pop(0) if layer.scale else np.ones_like(mean)
    beta = trained.pop(0) if layer.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - mean * scale


def _fold_normalization(layer: Any) -> tuple[F64, F64]:
    """Return what a normalization multiplies by and what it adds then."""
    import keras

    _require_last_axis(layer, layer.axis)
    if layer.invert:
        raise _build_layer_error(layer, "Normalization with invert=True")
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(each), np.float64).reshape(-1)
        for each in (layer.mean, layer.variance)
    )
    scale = 1.0 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return scale, -mean * scale


def _require_last_axis(layer: Any, axis: int | Sequence[int]) -> None:
    rank = len(layer.output.shape)
    axes: I64 = np.atleast_1d(np.asarray(axis, np.int64)) % rank
    if axes.tolist() != [rank - 1]:
        raise _build_layer_error(layer, f"{type(layer).__name__} over axis {axis}")


def _build_layer_error(layer: Any, description: str) -> PublicationError:
    return PublicationError(
        f"export: layer {layer.name!r} is a {description}, of which there is no SavedModel;"
        " use Dense, BatchNormalization, Normalization, ReLU, LeakyReLU, Activation (linear, relu,"
        f" {', '.join(_PARAMETERLESS_ACTIVATIONS)}), Concatenate, Add, Flatten, Reshape or Dropout"
    )
