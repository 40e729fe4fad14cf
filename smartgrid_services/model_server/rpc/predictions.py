"""PredictionService: Predict, Classify, Regress, MultiInference and GetModelMetadata."""

from typing import Any

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from smartgrid_services.model_server.metrics import Metrics, measure_request, measure_runtime
from smartgrid_services.model_server.rpc.calls import (
    answer_call,
    build_model_spec,
    read_model_spec,
    read_requested,
)
from smartgrid_services.model_server.servables import inference
from smartgrid_services.model_server.servables.examples import extract_examples
from smartgrid_services.model_server.servables.inference import Classes, Task
from smartgrid_services.model_server.servables.signatures import DEFAULT_SIGNATURE
from smartgrid_services.model_server.servables.tensors import read_inputs, write_tensor
from smartgrid_services.model_server.status import Code, ServingError
from smartgrid_services.model_server.version_manager import VersionManager

_SIGNATURE_DEF = "signature_def"


class PredictionService:
    """Answers predictions from any thread.

    Inputs that are not sent value by value but filled up take `largest_filled` bytes at most.
    """

    def __init__(self, manager: VersionManager, metrics: Metrics, *, largest_filled: int) -> None:
        self._manager = manager
        self._metrics = metrics
        self._largest_filled = largest_filled

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return the outputs of one signature on one batch, and the version that computed them."""
        return answer_call(context, lambda: self._predict(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return labels and scores of every class, for every example."""
        return answer_call(context, lambda: self._classify(request))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return one value for every example."""
        return answer_call(context, lambda: self._regress(request))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return several classifications and regressions of the same examples."""
        return answer_call(context, lambda: self._infer(request))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Return the signatures of a live version."""
        return answer_call(context, lambda: self._read_metadata(request))

    def _predict(self, request: Any) -> Any:
        spec = request.model_spec
        with (
            measure_request(self._metrics, model=spec.name, api="Predict", entrypoint="GRPC"),
            self._manager.hold(*read_requested(request)) as live,
        ):
            name = spec.signature_name or DEFAULT_SIGNATURE
            signature = live.servable.signatures.get(name)
            if signature is None:
                raise ServingError(
                    Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
                )
            inputs = read_inputs(request.inputs, signature, largest_filled=self._largest_filled)
            with measure_runtime(self._metrics, model=spec.name, api="Predict"):
                outputs = inference.predict(
                    live.servable, signature, inputs, output_filter=request.output_filter
                )
            response = predict_pb2.PredictResponse()
            response.model_spec.CopyFrom(build_model_spec(live.model, live.version, name))
            for alias, array in outputs.items():
                write_tensor(array, response.outputs[alias])
        return response

    def _classify(self, request: Any) -> Any:
        spec = request.model_spec
        response = classification_pb2.ClassificationResponse()
        with (
            measure_request(self._metrics, model=spec.name, api="Classify", entrypoint="GRPC"),
            self._manager.hold(*read_requested(request)) as live,
        ):
            examples = extract_examples(request.input)
            self._metrics.count_examples(spec.name, len(examples))
            with measure_runtime(self._metrics, model=spec.name, api="Classify"):
                classes = inference.classify(live.servable, spec.signature_name, examples)
            _fill_classes(classes, response.result)
            response.model_spec.CopyFrom(_build_spec(live, spec.signature_name))
        return response

    def _regress(self, request: Any) -> Any:
        spec = request.model_spec
        response = regression_pb2.RegressionResponse()
        with (
            measure_request(self._metrics, model=spec.name, api="Regress", entrypoint="GRPC"),
            self._manager.hold(*read_requested(request)) as live,
        ):
            examples = extract_examples(request.input)
            self._metrics.count_examples(spec.name, len(examples))
            with measure_runtime(self._metrics, model=spec.name, api="Regress"):
                values = inference.regress(live.servable, spec.signature_name, examples)
            _fill_values(values, response.result)
            response.model_spec.CopyFrom(_build_spec(live, spec.signature_name))
        return response

    def _infer(self, request: Any) -> Any:
        tasks = [
            Task(task.model_spec.name, task.model_spec.signature_name, task.method_name)
            for task in request.tasks
        ]
        model = tasks[0].model if tasks else ""
        response = inference_pb2.MultiInferenceResponse()
        with measure_request(self._metrics, model=model, api="MultiInference", entrypoint="GRPC"):
            if not tasks:
                raise ServingError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
            with self._manager.hold(*read_model_spec(request.tasks[0].model_spec)) as live:
                examples = extract_examples(request.input)
                self._metrics.count_examples(model, len(examples))
                with measure_runtime(self._metrics, model=model, api="MultiInference"):
                    found = inference.infer(live.servable, tasks, examples)
                for task, one in zip(tasks, found, strict=True):
                    result = response.results.add()
                    result.model_spec.CopyFrom(_build_spec(live, task.signature))
                    if isinstance(one, Classes):
                        _fill_classes(one, result.classification_result)
                    else:
                        _fill_values(one, result.regression_result)
        return response

    def _read_metadata(self, request: Any) -> Any:
        which = read_requested(request)
        if not request.metadata_field:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                "GetModelMetadataRequest must specify at least one metadata_field",
            )
        unknown = [name for name in request.metadata_field if name != _SIGNATURE_DEF]
        if unknown:
            raise ServingError(
                Code.INVALID_ARGUMENT, f"Metadata field {unknown[0]} is not supported"
            )
        with self._manager.hold(*which) as live:
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.CopyFrom(build_model_spec(live.model, live.version))
            response.metadata[_SIGNATURE_DEF].Pack(live.servable.signature_map)
        return response


def _build_spec(live: Any, signature: str) -> Any:
    return build_model_spec(live.model, live.version, signature or DEFAULT_SIGNATURE)


def _fill_classes(classes: Classes, result: Any) -> None:
    for row in classes.list_rows():
        line = result.classifications.add()
        for label, score in row:
            # A label is text in the message; bytes that are none are decoded as far as possible.
            line.classes.add(label=label.decode(errors="replace"), score=score)


def _fill_values(values: list[float], result: Any) -> None:
    for value in values:
        result.regressions.add(value=value)
