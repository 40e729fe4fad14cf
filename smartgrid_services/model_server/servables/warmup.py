"""Requests that a model brings along, answered once before it is AVAILABLE; uses TensorFlow."""

import logging
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from smartgrid_services.model_server.servables import inference
from smartgrid_services.model_server.servables.examples import extract_examples
from smartgrid_services.model_server.servables.inference import Task
from smartgrid_services.model_server.servables.signatures import Servable, find_signature
from smartgrid_services.model_server.servables.tensors import read_tensor
from smartgrid_services.model_server.status import Code, ServingError

log = logging.getLogger(__name__)

RECORDS = Path("assets.extra") / "tf_serving_warmup_requests"
"""TFRecords of PredictionLog messages, below a version's folder."""

_MOST = 1000


def warm_up(servable: Servable, folder: Path, *, times: int = 1) -> int:
    """Answer every warm-up record so often; returns how many there are, 0 without a file.

    Raises ServingError for a record that cannot be read or answered: such a version is not loaded.
    """
    path = folder / RECORDS
    if not path.exists():
        return 0
    count = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            count += 1
            if count > _MOST:
                raise ServingError(
                    Code.INVALID_ARGUMENT,
                    f"Number of warmup records exceeds the maximum ({_MOST}) at {path}",
                )
            _answer_record(servable, _parse_record(record, path), times=times)
    except tf.errors.DataLossError as error:
        raise ServingError(
            Code.DATA_LOSS,
            f"{error.message}. Please verify your warmup data is in TFRecord format.",
        ) from error
    log.info("%s: %s warm-up records answered", folder, count)
    return count


def _parse_record(record: bytes, path: Path) -> Any:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"Failed to parse warmup record from {path}: {error}"
        ) from error


def _answer_record(servable: Servable, record: Any, *, times: int) -> None:
    kind = record.WhichOneof("log_type")
    for _ in range(times):
        match kind:
            case "predict_log":
                _answer_predict(servable, record.predict_log.request)
            case "classify_log":
                request = record.classify_log.request
                name = request.model_spec.signature_name
                inference.classify(servable, name, extract_examples(request.input))
            case "regress_log":
                request = record.regress_log.request
                name = request.model_spec.signature_name
                inference.regress(servable, name, extract_examples(request.input))
            case "multi_inference_log":
                request = record.multi_inference_log.request
                tasks = [
                    Task(task.model_spec.name, task.model_spec.signature_name, task.method_name)
                    for task in request.tasks
                ]
                inference.infer(servable, tasks, extract_examples(request.input))
            case _:
                raise ServingError(
                    Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind or 'none'}"
                )


def _answer_predict(servable: Servable, request: Any) -> None:
    signature = find_signature(servable, request.model_spec.signature_name)
    inputs = {name: read_tensor(name, tensor) for name, tensor in request.inputs.items()}
    inference.predict(servable, signature, inputs, output_filter=request.output_filter)
