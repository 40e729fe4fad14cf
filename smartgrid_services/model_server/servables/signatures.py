"""What a loaded SavedModel promises and does, in terms without TensorFlow."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smartgrid_services.model_server.status import Code, ServingError

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: `dtype` as TensorFlow names it, `shape` None for any rank.

    A size of -1 is any. `array_dtype` is NumPy's counterpart, object for DT_STRING, None for a
    dtype that cannot be carried.
    """

    dtype: str
    array_dtype: np.dtype[Any] | None
    shape: tuple[int, ...] | None
    tensor: str = ""
    """The graph's name of it; two signatures may share one."""
    strict: bool = True
    """Whether the shape is a promise; that of a tensor inside the graph only describes it."""

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Return whether a tensor of this shape may be given.

        >>> TensorSpec("DT_FLOAT", None, (-1, 3)).admits((7, 3))
        True
        """
        if self.shape is None or not self.strict:
            return True
        if len(shape) != len(self.shape):
            return False
        for given, expected in zip(shape, self.shape, strict=True):
            if expected not in (-1, given):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """A callable of a SavedModel.

    Attributes:
        name: The name by which requests ask for it.
        inputs: Tensors by input name.
        outputs: Tensors by output name.
        method: TensorFlow's method name: predict, classify or regress.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method: str = "tensorflow/serving/predict"


class Servable(Protocol):
    """A loaded model version. `run` may be called from many threads at once."""

    signatures: Mapping[str, Signature]
    signature_map: Any
    """TensorFlow Serving's SignatureDefMap message, as metadata requests answer it."""
    is_steady: bool
    """Whether a run's time depends on the size of the inputs alone: no loop, no waiting."""

    def run(
        self, signature: Signature, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Return the named outputs; raises ServingError for what the model cannot compute."""
        ...

    def close(self) -> None:
        """Free what the model holds; nothing may run then or after."""
        ...


def find_signature(servable: Servable, name: str) -> Signature:
    """Return the signature of the name, the default one for an empty name.

    Raises ServingError if the model has no such signature.
    """
    signature = servable.signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f'Serving signature name: "{name or DEFAULT_SIGNATURE}" not found in signature def',
        )
    return signature


def compute_outputs(
    servable: Servable,
    signature: Signature,
    inputs: Mapping[str, NDArray[Any]],
    *,
    output_filter: Sequence[str] = (),
) -> dict[str, NDArray[Any]]:
    """Run a signature on inputs that are checked first, and return its outputs by name.

    Args:
        servable: The model version that is asked.
        signature: One of its signatures.
        inputs: Arrays by input name.
        output_filter: Names of the outputs to compute; all of them if empty.

    Raises:
        ServingError: For inputs or outputs that the signature does not have, an input of another
            dtype or shape, and what the model cannot compute.
    """
    check_names(signature, inputs.keys())
    for name, spec in signature.inputs.items():
        check_tensor(name, spec, inputs[name].dtype, inputs[name].shape)
    seen = set()
    for name in output_filter:
        if name not in signature.outputs:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{','.join(sorted(signature.outputs))}}}.",
            )
        if name in seen:
            raise ServingError(Code.INVALID_ARGUMENT, f"duplicate output tensor alias: {name}")
        seen.add(name)
    return servable.run(signature, inputs, list(output_filter) or sorted(signature.outputs))


def check_names(signature: Signature, names: Iterable[str]) -> None:
    """Raise ServingError unless these are the names of the signature's inputs."""
    sent, expected = sorted(names), sorted(signature.inputs)
    if sent == expected:
        return
    if len(sent) == len(expected):
        stranger = next(name for name in sent if name not in signature.inputs)
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"input tensor alias not found in signature: {stranger}. "
            f"Inputs expected to be in the set {{{','.join(expected)}}}.",
        )
    extra = [name for name in sent if name not in signature.inputs]
    missing = [name for name in expected if name not in sent]
    raise ServingError(
        Code.INVALID_ARGUMENT,
        f"input size does not match signature: {len(sent)}!={len(expected)} "
        f"len({{{','.join(sent)}}}) != len({{{','.join(expected)}}}). "
        f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}.",
    )


def check_tensor(name: str, spec: TensorSpec, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raise ServingError unless a tensor of this dtype and shape may be given as the input.

    Args:
        name: Name of the input, for the error.
        spec: What the signature says of the input.
        dtype: NumPy's dtype of the tensor.
        shape: Shape of the tensor.
    """
    if spec.array_dtype is None:
        raise ServingError(Code.UNIMPLEMENTED, f"input {name}: {spec.dtype} cannot be carried")
    if dtype != spec.array_dtype:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"input {name} must be {spec.dtype}, got {dtype.name}",
        )
    if not spec.admits(shape):
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"input {name} must have shape {list(spec.shape or ())} (-1 is any size), "
            f"got {list(shape)}",
        )
