"""TensorFlow Serving's batching parameters file: a text proto whose message no package carries."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf import wrappers_pb2 as wrappers

from smartgrid_core.errors import ServerError

_FIELDS = {
    "max_batch_size": ".google.protobuf.Int64Value",
    "batch_timeout_micros": ".google.protobuf.Int64Value",
    "max_enqueued_batches": ".google.protobuf.Int64Value",
    "num_batch_threads": ".google.protobuf.UInt64Value",
    "thread_pool_name": ".google.protobuf.StringValue",
}
"""Fields with a wrapper of their type; `allowed_batch_sizes` repeats whole numbers."""


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """How requests are batched; the defaults are TensorFlow Serving's.

    Attributes:
        num_batch_threads: Batches that are computed at the same time.
        thread_pool_name: Label of the queuing latency among the metrics.
    """

    max_batch_size: int = 1000
    """Rows; a request with more is refused."""
    batch_timeout_micros: int = 0
    """How long a batch waits for more rows; with zero it takes those that came while threads
    were busy."""
    max_enqueued_batches: int = 10
    """Batches of one model that may wait; what would need another one is refused."""
    num_batch_threads: int = os.cpu_count() or 1
    thread_pool_name: str = "model_server_batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    """A batch is filled up with copies of a row to the next of these sizes."""

    def pad_rows(self, rows: int) -> int:
        """Return the number of rows that a batch of `rows` is computed with.

        >>> BatchingParameters(allowed_batch_sizes=(4, 16, 1000)).pad_rows(5)
        16
        """
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def read_batching_parameters(path: Path) -> BatchingParameters:
    """Return the parameters of a text proto file.

    Raises:
        ServerError: If the file cannot be read or a value is out of range; names both.
    """
    message = _make_message()
    try:
        text_format.Parse(path.read_text(), message)
    except (OSError, ValueError, text_format.ParseError) as error:
        raise ServerError(f"the batching parameters {path} cannot be used: {error}") from error
    given: dict[str, Any] = {
        name: getattr(message, name).value for name in _FIELDS if message.HasField(name)
    }
    sizes = tuple(message.allowed_batch_sizes)
    parameters = BatchingParameters(**given, allowed_batch_sizes=sizes)
    largest = parameters.max_batch_size
    if min(largest, parameters.max_enqueued_batches, parameters.num_batch_threads) < 1:
        raise ServerError(f"the batching parameters {path}: sizes and threads must be at least 1")
    if parameters.batch_timeout_micros < 0:
        raise ServerError(f"the batching parameters {path}: batch_timeout_micros is negative")
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != largest):
        raise ServerError(
            f"the batching parameters {path}: allowed_batch_sizes must grow and end with "
            f"max_batch_size {largest}"
        )
    return parameters


def _make_message() -> Any:
    """Return an empty BatchingParameters message, whose type is built here from `_FIELDS`."""
    file = descriptor_pb2.FileDescriptorProto(
        name="batching_parameters.proto", package="smartgrid", syntax="proto3"
    )
    file.dependency.append(wrappers.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    kinds = descriptor_pb2.FieldDescriptorProto
    for number, (name, kind) in enumerate(_FIELDS.items(), start=1):
        message.field.add(
            name=name,
            number=number,
            label=kinds.LABEL_OPTIONAL,
            type=kinds.TYPE_MESSAGE,
            type_name=kind,
        )
    message.field.add(
        name="allowed_batch_sizes",
        number=len(_FIELDS) + 1,
        label=kinds.LABEL_REPEATED,
        type=kinds.TYPE_INT64,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    found = pool.FindMessageTypeByName("smartgrid.BatchingParameters")
    return message_factory.GetMessageClass(found)()
