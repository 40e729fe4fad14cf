"""What is asked of a loaded model: predict, classify, regress and several of these at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartgrid_services.model_server.servables.signatures import (
    DEFAULT_SIGNATURE,
    Servable,
    Signature,
    compute_outputs,
)
from smartgrid_services.model_server.status import Code, ServingError

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

_INPUTS = "inputs"
_CLASSES = "classes"
_SCORES = "scores"
_OUTPUTS = "outputs"

Examples = NDArray[Any]
"""Serialized tf.train.Example messages: bytes objects, (n_examples,)."""


@dataclass(frozen=True, slots=True)
class Classes:
    """Classes of every example.

    Attributes:
        labels: bytes (n_examples, n_classes); None if the model has no such output.
        scores: float32 (n_examples, n_classes); None if the model has no such output.
    """

    labels: NDArray[Any] | None
    scores: NDArray[Any] | None

    @property
    def size(self) -> int:
        """Number of labels and scores of all examples together."""
        return sum(array.size for array in (self.labels, self.scores) if array is not None)

    def list_rows(self) -> list[list[tuple[bytes, float]]]:
        """Return (label, score) of every class by example; b"" or 0 where there is none."""
        given = self.labels if self.labels is not None else self.scores
        if given is None:
            return []
        labels: NDArray[Any] = np.full(given.shape, b"", object)
        scores: NDArray[Any] = np.zeros(given.shape)
        if self.labels is not None:
            labels = self.labels
        if self.scores is not None:
            scores = self.scores
        return [
            list(zip(example_labels, example_scores, strict=True))
            for example_labels, example_scores in zip(labels.tolist(), scores.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Task:
    """One part of a MultiInference request.

    Attributes:
        model: Name of the model, the same in all parts of a request.
        signature: Name of the signature; empty for the default one.
        method: CLASSIFY or REGRESS.
    """

    model: str
    signature: str
    method: str


def predict(
    servable: Servable,
    signature: Signature,
    inputs: Mapping[str, NDArray[Any]],
    *,
    output_filter: Sequence[str] = (),
) -> dict[str, NDArray[Any]]:
    """Return the outputs of a signature that is meant for inference.

    Args:
        servable: The model version that is asked.
        signature: One of its signatures.
        inputs: Arrays by input name, of the signature's dtypes and shapes.
        output_filter: Names of the outputs to compute; all of them if empty.

    Raises:
        ServingError: INTERNAL for a signature of another kind; else as `compute_outputs`.
    """
    if signature.method not in {PREDICT, CLASSIFY, REGRESS}:
        raise ServingError(
            Code.INTERNAL,
            "Expected prediction signature method_name to be one of "
            f"{{{PREDICT}, {CLASSIFY}, {REGRESS}}}. Was: {signature.method}",
        )
    return compute_outputs(servable, signature, inputs, output_filter=output_filter)


def classify(servable: Servable, name: str, examples: Examples) -> Classes:
    """Return the classes of every example by a classification signature.

    An empty `name` is the default signature. Raises ServingError if the signature is no
    classification, or its outputs do not have one row per example.
    """
    signature = _find_signature(servable, name)
    _check_classification(signature)
    outputs = _run_signature(servable, signature, examples)
    labels, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    for what, array, dtype, kind in (
        (_CLASSES, labels, "DT_STRING", "O"),
        (_SCORES, scores, "DT_FLOAT", "f"),
    ):
        if array is None:
            continue
        if array.ndim != 2:
            raise _invalid(
                "Expected Tensor shape: [batch_size num_classes] but got "
                f"[{','.join(map(str, array.shape))}]"
            )
        if array.dtype.kind != kind or (kind == "f" and array.dtype.itemsize != 4):
            got = signature.outputs[what].dtype
            raise _invalid(f"Expected {what} Tensor of {dtype}. Got: {got}")
        if len(array) != len(examples):
            raise _invalid(
                f"Expected {what} output batch size of {len(examples)}. Got: {len(array)}"
            )
    if labels is not None and scores is not None and labels.shape[1] != scores.shape[1]:
        raise _invalid(
            "Tensors class and score should match in dim_size(1). Got "
            f"{labels.shape[1]} vs. {scores.shape[1]}"
        )
    return Classes(labels, scores)


def regress(servable: Servable, name: str, examples: Examples) -> list[float]:
    """Return one value per example by a regression signature.

    An empty `name` is the default signature. Raises ServingError if the signature is no
    regression, or its output does not have one float32 per example.
    """
    signature = _find_signature(servable, name)
    _check_regression(signature)
    values = _run_signature(servable, signature, examples)[_OUTPUTS]
    if not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        raise _invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"[{','.join(map(str, values.shape))}]"
        )
    if len(values) != len(examples):
        raise _invalid(
            f"Input batch size did not match output batch size: {len(examples)} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise _invalid(
            f"Expected output Tensor of DT_FLOAT.  Got: {signature.outputs[_OUTPUTS].dtype}"
        )
    return [float(value) for value in values.ravel()]


def infer(
    servable: Servable, tasks: Sequence[Task], examples: Examples
) -> list[Classes | list[float]]:
    """Return the result of each task on the same examples, in the order of the tasks."""
    _check_tasks(servable, tasks)
    return [
        classify(servable, task.signature, examples)
        if task.method == CLASSIFY
        else regress(servable, task.signature, examples)
        for task in tasks
    ]


def _check_tasks(servable: Servable, tasks: Sequence[Task]) -> None:
    seen: set[str] = set()
    tensors: set[str] = set()
    for task in tasks:
        name = task.signature or DEFAULT_SIGNATURE
        if not task.model:
            raise _invalid("Found ModelSpec with an empty model name.")
        if task.model != tasks[0].model:
            raise _invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        if name in seen:
            raise _invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        signature = servable.signatures.get(name)
        if signature is None:
            raise _invalid(f"Requested signature not found in model graph: {name}")
        if task.method == CLASSIFY:
            _check_classification(signature)
        elif task.method == REGRESS:
            _check_regression(signature)
        else:
            raise ServingError(
                Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method}"
            )
        tensors.add(signature.inputs[_INPUTS].tensor)
        if len(tensors) > 1:
            raise _invalid("Input tensor must be the same for all Signatures.")


def _find_signature(servable: Servable, name: str) -> Signature:
    signature = servable.signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise _invalid(f"No signature was found with the name: {name or DEFAULT_SIGNATURE}")
    return signature


def _check_classification(signature: Signature) -> None:
    if signature.method != CLASSIFY:
        raise _invalid(
            f"Expected classification signature method_name to be {CLASSIFY}. "
            f"Was: {signature.method}"
        )
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if len(signature.outputs) not in {1, 2}:
        raise _invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise _unfit(f"No classification inputs found in SignatureDef: {signature.name}")
    if not signature.outputs.keys() & {_CLASSES, _SCORES}:
        raise _unfit(
            "Expected classification signature outputs to contain at least one of "
            f'"{_CLASSES}" or "{_SCORES}". Signature was: {signature.name}'
        )


def _check_regression(signature: Signature) -> None:
    if signature.method != REGRESS:
        raise _invalid(
            f"Expected regression signature method_name to be {REGRESS}. Was: {signature.method}"
        )
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise _invalid("Expected one output Tensor.")
    if _INPUTS not in signature.inputs:
        raise _unfit(f"No regression inputs found in SignatureDef: {signature.name}")
    if _OUTPUTS not in signature.outputs:
        raise _unfit(f"No regression outputs found in SignatureDef: {signature.name}")


def _run_signature(
    servable: Servable, signature: Signature, examples: Examples
) -> dict[str, NDArray[Any]]:
    if len(examples) == 0:
        raise _invalid("Input is empty.")
    wanted = [name for name in (_CLASSES, _SCORES, _OUTPUTS) if name in signature.outputs]
    return compute_outputs(servable, signature, {_INPUTS: examples}, output_filter=wanted)


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)


def _unfit(message: str) -> ServingError:
    return ServingError(Code.FAILED_PRECONDITION, message)
