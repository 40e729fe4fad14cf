"""Many small requests share one run of the graph: TensorFlow Serving's dynamic batching."""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.servables.batching_parameters import BatchingParameters
from smartgrid_services.model_server.servables.signatures import Servable, Signature, TensorSpec
from smartgrid_services.model_server.status import Code, ServingError

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
_Key = tuple[int, str, tuple[str, ...], tuple[Any, ...]]


@dataclass(slots=True, eq=False)
class _Task:
    """One request that waits in a batch.

    Attributes:
        inputs: Arrays by input name, the first dimension of each is `rows`.
        rows: Size of the batch dimension.
        queued_at: Monotonic time at which the request joined its batch, s.
        done: Set once `outputs` or `error` is there.
        outputs: Arrays by output name, the request's own rows only.
        error: Why the request has no outputs.
    """

    inputs: Mapping[str, NDArray[Any]]
    rows: int
    queued_at: float
    done: threading.Event = field(default_factory=threading.Event)
    outputs: Arrays | None = None
    error: Exception | None = None


@dataclass(slots=True, eq=False)
class _Batch:
    """Requests for the same outputs of one signature, with rows of one shape.

    Attributes:
        key: What requests must have in common to share the batch.
        servable: The model version that computes it.
        signature: The signature that all requests call.
        outputs: Names of the outputs that all requests ask for.
        deadline: Monotonic time from which the batch is computed although it is not full, s.
        tasks: The requests, in the order in which they came.
        rows: Rows of all requests together.
        full: Whether no further request may join.
    """

    key: _Key
    servable: Servable
    signature: Signature
    outputs: Sequence[str]
    deadline: float
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0
    full: bool = False


class Batcher:
    """The threads and the queue of batches that all models of a server share."""

    def __init__(self, parameters: BatchingParameters, metrics: Metrics) -> None:
        self._parameters = parameters
        self._metrics = metrics
        self._queue: deque[_Batch] = deque()
        self._open: dict[_Key, _Batch] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._threads = [
            threading.Thread(target=self._run_batches, name=f"batch-{number}", daemon=True)
            for number in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(
        self,
        servable: Servable,
        signature: Signature,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
    ) -> Arrays:
        """Return the outputs of one request, computed in a batch with others; blocks until then.

        Args:
            servable: The model version that computes the batch.
            signature: The signature that the request calls.
            inputs: Arrays by input name, (n_rows, ...); the first dimension is the batch.
            outputs: Names of the outputs to compute.

        Returns:
            Arrays by output name with the request's own rows, (n_rows, ...).

        Raises:
            ServingError: For what the model cannot compute; INVALID_ARGUMENT if the request is
                larger than a batch; UNAVAILABLE if too many batches wait or the batcher is closed.
        """
        rows = len(next(iter(inputs.values())))
        if rows > self._parameters.max_batch_size:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Task size {rows} is larger than maximum input batch size "
                f"{self._parameters.max_batch_size}",
            )
        shapes = tuple((name, inputs[name].shape[1:]) for name in sorted(inputs))
        key = (id(servable), signature.name, tuple(outputs), shapes)
        task = _Task(inputs, rows, time.monotonic())
        with self._changed:
            if self._ended:
                raise ServingError(Code.UNAVAILABLE, "the server ends, nothing is batched any more")
            batch = self._open.get(key)
            if batch is None or batch.rows + rows > self._parameters.max_batch_size:
                batch = self._open_batch(key, servable, signature, outputs, before=batch)
            batch.tasks.append(task)
            batch.rows += rows
            batch.full = batch.rows >= self._parameters.max_batch_size
            if batch.full:
                self._open.pop(key, None)
            self._changed.notify()
        task.done.wait()
        if task.error is not None:
            raise task.error
        return task.outputs or {}

    def close(self) -> None:
        """Compute what waits, then end the threads."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _open_batch(
        self,
        key: _Key,
        servable: Servable,
        signature: Signature,
        outputs: Sequence[str],
        *,
        before: _Batch | None,
    ) -> _Batch:
        """Return a new batch at the end of the queue; the caller holds the lock.

        Args:
            key: What requests must have in common to join.
            servable: The model version that computes the batch.
            signature: The signature that its requests call.
            outputs: Names of the outputs to compute.
            before: The open batch of the same key, which is too full; None if there is none.

        Raises:
            ServingError: UNAVAILABLE if `max_enqueued_batches` of this model wait already.
        """
        waiting = sum(batch.servable is servable for batch in self._queue)
        if waiting >= self._parameters.max_enqueued_batches:
            raise ServingError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full",
            )
        if before is not None:
            before.full = True
        deadline = time.monotonic() + self._parameters.batch_timeout_micros / 1e6
        batch = _Batch(key, servable, signature, outputs, deadline)
        self._queue.append(batch)
        self._open[key] = batch
        return batch

    def _run_batches(self) -> None:
        """Compute batches until the batcher is closed; the body of each thread."""
        while (batch := self._take_batch()) is not None:
            try:
                self._compute(batch)
            except Exception as error:
                log.exception("a batch failed")
                for task in batch.tasks:
                    task.error = task.error or error
            finally:
                for task in batch.tasks:
                    task.done.set()

    def _take_batch(self) -> _Batch | None:
        """Take the first batch that is full or has waited long enough; None once closed."""
        with self._changed:
            while True:
                now = time.monotonic()
                soonest = None
                for batch in self._queue:
                    if batch.full or self._ended or batch.deadline <= now:
                        self._queue.remove(batch)
                        if self._open.get(batch.key) is batch:
                            del self._open[batch.key]
                        return batch
                    soonest = min(soonest or batch.deadline, batch.deadline)
                if self._ended:
                    return None
                self._changed.wait(None if soonest is None else soonest - now)

    def _compute(self, batch: _Batch) -> None:
        """Compute a batch and give each request its outputs or its error."""
        now = time.monotonic()
        for task in batch.tasks:
            self._metrics.queuing_latency.observe(
                self._parameters.thread_pool_name, value=(now - task.queued_at) * 1e6
            )
        if len(batch.tasks) == 1 and batch.rows == self._parameters.pad_rows(batch.rows):
            self._compute_alone(batch, batch.tasks[0])
            return
        try:
            outputs = self._compute_together(batch)
        except ServingError:
            # One of them may be to blame: each gets its own answer.
            for task in batch.tasks:
                self._compute_alone(batch, task)
            return
        begin = 0
        for task in batch.tasks:
            task.outputs = {
                name: array[begin : begin + task.rows] for name, array in outputs.items()
            }
            begin += task.rows

    def _compute_together(self, batch: _Batch) -> Arrays:
        """Return the outputs of all requests of a batch from one run, (n_padded, ...)."""
        padded = self._parameters.pad_rows(batch.rows)
        inputs = {}
        for name in batch.tasks[0].inputs:
            parts = [task.inputs[name] for task in batch.tasks]
            if padded > batch.rows:
                parts.append(np.repeat(parts[0][:1], padded - batch.rows, axis=0))
            inputs[name] = np.concatenate(parts)
        self._metrics.batches.add()
        outputs = batch.servable.run(batch.signature, inputs, batch.outputs)
        for array in outputs.values():
            if array.ndim == 0 or len(array) != padded:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th "
                    "dimension sizes of the input tensors",
                )
        return outputs

    def _compute_alone(self, batch: _Batch, task: _Task) -> None:
        """Compute one request of a batch by itself."""
        self._metrics.batches.add()
        try:
            task.outputs = batch.servable.run(batch.signature, task.inputs, batch.outputs)
        except ServingError as error:
            task.error = error


class BatchingServable:
    """A servable whose requests are computed together where every tensor has a batch dimension."""

    def __init__(self, servable: Servable, batcher: Batcher) -> None:
        self._servable = servable
        self._batcher = batcher
        self.signatures = servable.signatures
        self.signature_map = servable.signature_map
        self.is_steady = False
        self._batched = {
            name
            for name, signature in servable.signatures.items()
            if signature.inputs
            and all(
                _has_batch(spec)
                for spec in (*signature.inputs.values(), *signature.outputs.values())
            )
        }

    def run(
        self, signature: Signature, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> Arrays:
        """Return the outputs of the wrapped servable, computed together with other requests.

        A request whose arrays have no common batch dimension is computed by itself.
        """
        sizes = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
        if signature.name in self._batched and len(sizes) == 1 and 0 not in sizes:
            return self._batcher.run(self._servable, signature, inputs, outputs)
        return self._servable.run(signature, inputs, outputs)

    def close(self) -> None:
        """Free the wrapped servable; no request of it waits any more, since nobody holds it."""
        self._servable.close()


def _has_batch(spec: TensorSpec) -> bool:
    return spec.shape is None or (len(spec.shape) > 0 and spec.shape[0] == -1)
