"""SavedModels through TensorFlow: loading, running and letting go of one version."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.servables.signatures import Signature, TensorSpec
from smartgrid_services.model_server.status import Code, ServingError, to_code

_TAGS = ["serve"]
_LOOPS = frozenset(
    {
        *("While", "StatelessWhile", "Enter", "RefEnter", "For", "MapDefun"),
        *("PyFunc", "PyFuncStateless", "EagerPyFunc"),
    }
)
"""Operations whose time depends on values, or on somebody's Python."""
_MOST_CALLABLES = 64
"""Callers may ask for any choice of outputs, and every choice takes memory."""
_NO_ARRAY = {tf.resource, tf.variant}


class SavedModelServable:
    """One loaded SavedModel: a graph and the session that holds its variables.

    A session, as in TensorFlow Serving, takes a SavedModel of any age by its signatures' tensor
    names, runs from many threads at once, and gives the memory back when it is closed.
    """

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self._metrics = metrics
        self._callables: dict[tuple[str, tuple[str, ...]], Callable[..., list[Any]]] = {}
        self._making = threading.Lock()
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, _TAGS, str(folder))
            self._session.graph.finalize()
        except BaseException:
            self._session.close()
            raise
        self.is_steady = not _has_loop(meta_graph.graph_def)
        self.signature_map = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in meta_graph.signature_def.items():
            self.signature_map.signature_def[name].CopyFrom(definition)
        self.signatures: Mapping[str, Signature] = {
            name: Signature(
                name=name,
                inputs={key: self._read_spec(info) for key, info in definition.inputs.items()},
                outputs={key: self._read_spec(info) for key, info in definition.outputs.items()},
                method=definition.method_name,
            )
            for name, definition in meta_graph.signature_def.items()
            if definition.outputs and _is_dense(definition)
        }

    def run(
        self, signature: Signature, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Return the named outputs; raises ServingError with TensorFlow's own code and words."""
        fetched = tuple(sorted(outputs))
        call = self._make_callable(signature, fetched)
        began = time.perf_counter()
        try:
            computed = call(*(inputs[name] for name in sorted(inputs)))
        except tf.errors.OpError as error:
            raise ServingError(
                to_code(error.error_code), _cut_graph_stack(error.message)
            ) from error
        except (TypeError, ValueError) as error:
            raise ServingError(Code.INVALID_ARGUMENT, _cut_graph_stack(str(error))) from error
        self._metrics.count_graph_run(time.perf_counter() - began)
        arrays = dict(zip(fetched, computed, strict=True))
        return {name: np.asarray(arrays[name]) for name in outputs}

    def _make_callable(
        self, signature: Signature, outputs: tuple[str, ...]
    ) -> Callable[..., list[Any]]:
        """Return what runs the signature on its inputs by the order of their names; cached.

        Session.run would look up every tensor by its name again, which takes longer than a small
        graph.
        """
        key = (signature.name, outputs)
        found = self._callables.get(key)
        if found is not None:
            return found
        options = config_pb2.CallableOptions(
            feed=[signature.inputs[name].tensor for name in sorted(signature.inputs)],
            fetch=[signature.outputs[name].tensor for name in outputs],
        )
        # A request's operations run in its own thread. To hand them to others takes a small graph
        # four times as long as to run it, and with many requests every core has work anyway.
        options.run_options.inter_op_thread_pool = -1
        with self._making:
            made: Callable[..., list[Any]] = self._session._make_callable_from_options(options)
            while len(self._callables) >= _MOST_CALLABLES:
                # Freed by TensorFlow once no request runs it any more.
                del self._callables[next(iter(self._callables))]
            return self._callables.setdefault(key, made)

    def _read_spec(self, info: Any) -> TensorSpec:
        dtype = tf.dtypes.as_dtype(info.dtype)
        shape = info.tensor_shape
        operation = self._session.graph.as_graph_element(info.name).op
        return TensorSpec(
            dtype=str(types_pb2.DataType.Name(info.dtype)),
            array_dtype=None if dtype in _NO_ARRAY else np.dtype(dtype.as_numpy_dtype),
            shape=None if shape.unknown_rank else tuple(dim.size for dim in shape.dim),
            tensor=info.name,
            strict=operation.type == "Placeholder",
        )

    def close(self) -> None:
        """Free the session's variables and graph."""
        self._callables.clear()
        self._session.close()


def load_servable(folder: Path, metrics: Metrics) -> SavedModelServable:
    """Return the SavedModel in the folder; raises ServingError saying what is wrong with it."""
    try:
        return SavedModelServable(folder, metrics)
    except tf.errors.OpError as error:
        raise ServingError(to_code(error.error_code), _cut_graph_stack(error.message)) from error
    except OSError as error:
        missing = not (folder / "saved_model.pb").exists()
        code = Code.NOT_FOUND if missing else Code.DATA_LOSS
        raise ServingError(code, _cut_graph_stack(str(error))) from error
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, _cut_graph_stack(str(error))) from error


def _has_loop(graph: Any) -> bool:
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    return any(node.op in _LOOPS for node in nodes)


def _is_dense(definition: Any) -> bool:
    """Return whether all tensors are plain ones; an initialisation's output has no dtype."""
    infos = [*definition.inputs.values(), *definition.outputs.values()]
    return all(info.WhichOneof("encoding") == "name" and info.dtype for info in infos)


def _cut_graph_stack(message: str) -> str:
    """Return the cause without the graph's stack, which says nothing to a caller."""
    return message.split("\n\nOriginal stack trace", 1)[0].split("\n\nErrors may have", 1)[0][:2000]
