"""Bodies in, bodies out: predict, classify, regress and metadata over one catalog."""

import json
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf import json_format

from smartgrid_services.model_server import inference
from smartgrid_services.model_server.catalog import Catalog
from smartgrid_services.model_server.metrics import Metrics, measured, runtime
from smartgrid_services.model_server.rest.inputs import given_in, read_inputs
from smartgrid_services.model_server.rest.outputs import write_classes, write_outputs, write_values
from smartgrid_services.model_server.rest.values import parse_object, signature_name
from smartgrid_services.model_server.signatures import signature_of

_SMALL_BODY = 8 * 1024
_QUICK_SECONDS = 0.001


class Asked(NamedTuple):
    """The version that a path names; neither version nor label is the newest one."""

    model: str
    version: int | None
    label: str | None


class Answers:
    """Answers to one request at a time each, from any thread; ServingError for every refusal."""

    def __init__(
        self,
        catalog: Catalog,
        metrics: Metrics,
        *,
        thread_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._thread_time = thread_time

    def infer(self, method: str, asked: Asked, body: bytes) -> bytes:
        """The answer to a "predict", "classify" or "regress" of that body."""
        with measured(self._metrics, model=asked.model, api=method, entrypoint="REST"):
            document = parse_object(body)
            if method == "predict":
                return self._predict(asked, document, small=len(body) <= _SMALL_BODY)
            return self._on_examples(method, asked, document)

    def is_quick(self, asked: Asked, body: bytes) -> bool:
        """Whether to answer takes less time than to hand the request to another thread.

        So it does for a small body if the graph took little time for such bodies lately, and has
        no loop, whose time may depend on the values.
        """
        if len(body) > _SMALL_BODY:
            return False
        live = self._catalog.peek(*asked)
        return live is not None and live.small_seconds < _QUICK_SECONDS

    def metadata(self, asked: Asked) -> bytes:
        """The signatures of a live version, in the JSON of their messages."""
        with self._catalog.hold(*asked) as live:
            signatures = json_format.MessageToDict(
                live.servable.signature_map,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            number = str(live.version)
        said = {
            "model_spec": {"name": asked.model, "signature_name": "", "version": number},
            "metadata": {"signature_def": signatures},
        }
        return (json.dumps(said, indent=1) + "\n").encode()

    def _predict(self, asked: Asked, document: dict[str, Any], *, small: bool) -> bytes:
        name = signature_name(document)
        with self._catalog.hold(*asked) as live:
            signature = signature_of(live.servable, name)
            given = given_in(document)
            inputs = read_inputs(given, signature)
            began = self._thread_time()
            with runtime(self._metrics, model=asked.model, api="Predict"):
                outputs = inference.predict(live.servable, signature, inputs)
            if small and live.servable.is_steady:
                seconds = self._thread_time() - began
                # One slow answer counts at once; quick ones have to come again and again.
                known = seconds if live.small_seconds == math.inf else live.small_seconds
                live.small_seconds = max(seconds, 0.9 * known)
        return write_outputs(outputs, layout=given.layout)

    def _on_examples(self, method: str, asked: Asked, document: dict[str, Any]) -> bytes:
        # Here, not above: it imports TensorFlow's messages, and by now they are there.
        from smartgrid_services.model_server.rest.examples import examples_from_json

        name = signature_name(document)
        examples = examples_from_json(document)
        with self._catalog.hold(*asked) as live:
            self._metrics.examples(asked.model, len(examples))
            with runtime(self._metrics, model=asked.model, api=method.capitalize()):
                if method == "classify":
                    classes = inference.classify(live.servable, name, examples)
                else:
                    values = inference.regress(live.servable, name, examples)
        return write_classes(classes) if method == "classify" else write_values(values)
