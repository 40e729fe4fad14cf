"""Bodies in, bodies out: predict, classify, regress and metadata over one manager."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

from google.protobuf import json_format

from smartgrid_services.model_server.metrics import Metrics, measure_request, measure_runtime
from smartgrid_services.model_server.rest.inputs import find_predict_input, read_inputs
from smartgrid_services.model_server.rest.outputs import write_classes, write_outputs, write_values
from smartgrid_services.model_server.rest.values import parse_object, read_signature_name
from smartgrid_services.model_server.servables import inference
from smartgrid_services.model_server.servables.signatures import DEFAULT_SIGNATURE, find_signature
from smartgrid_services.model_server.status import ServingError
from smartgrid_services.model_server.version_manager import LiveVersion, VersionManager

_SMALL_BODY = 8 * 1024
"""Bytes."""
_SMALL_ANSWER = 4 * 1024
"""Values."""
_QUICK_SECONDS = 0.002
"""So long other requests may wait for one; to hand it to another thread takes about half of it."""


class RequestedVersion(NamedTuple):
    """The version that a path names; neither version nor label is the newest one."""

    model: str
    version: int | None
    label: str | None


class RestInference:
    """Predictions and metadata as JSON bodies, from any thread; ServingError for every refusal."""

    def __init__(
        self,
        manager: VersionManager,
        metrics: Metrics,
        *,
        thread_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self._manager = manager
        self._metrics = metrics
        self._thread_time = thread_time

    async def answer(
        self, method: str, asked: RequestedVersion, body: bytes, *, beside: Executor
    ) -> bytes:
        """Return what `infer` returns, computed in the caller's thread where that is quick.

        A large answer is written in the executor, however quickly it was computed.

        Args:
            method: "predict", "classify" or "regress".
            asked: The model version that the path names.
            body: The request's JSON.
            beside: Computes what takes longer.
        """
        loop = asyncio.get_running_loop()
        if not self.is_quick(method, asked, body):
            return await loop.run_in_executor(beside, self.infer, method, asked, body)
        with self._measure(method, asked):
            computed = self._compute(method, asked, body)
            if computed.values > _SMALL_ANSWER:
                return await loop.run_in_executor(beside, computed.written)
            return computed.written()

    def infer(self, method: str, asked: RequestedVersion, body: bytes) -> bytes:
        """Return the JSON answer to a "predict", "classify" or "regress" of that body."""
        with self._measure(method, asked):
            return self._compute(method, asked, body).written()

    def is_quick(self, method: str, asked: RequestedVersion, body: bytes) -> bool:
        """Return whether an answer takes little more time than to hand it to another thread.

        So it does for a small body if the same method and signature took little time for such
        bodies lately, from the body to the written answer, and the graph has no loop, whose time
        may depend on the values.
        """
        if len(body) > _SMALL_BODY:
            return False
        live = self._manager.peek(*asked)
        if live is None or not live.small_seconds:
            return False
        key = (method, _find_signature_name(body) or DEFAULT_SIGNATURE)
        return live.small_seconds.get(key, math.inf) < _QUICK_SECONDS

    def read_metadata(self, asked: RequestedVersion) -> bytes:
        """Return the signatures of a live version, in the JSON form of their messages."""
        with self._manager.hold(*asked) as live:
            signatures = json_format.MessageToDict(
                live.servable.signature_map,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            number = str(live.version)
        document = {
            "model_spec": {"name": asked.model, "signature_name": "", "version": number},
            "metadata": {"signature_def": signatures},
        }
        return (json.dumps(document, indent=1) + "\n").encode()

    def _measure(self, method: str, asked: RequestedVersion) -> AbstractContextManager[None]:
        return measure_request(self._metrics, model=asked.model, api=method, entrypoint="REST")

    def _compute(self, method: str, asked: RequestedVersion, body: bytes) -> "_Computed":
        began = self._thread_time()
        document = parse_object(body)
        compute = self._compute_prediction if method == "predict" else self._compute_examples
        live, name, values, write = compute(method, asked, document)
        seconds = self._thread_time() - began

        def written() -> bytes:
            # Perhaps in another thread, whose time is another.
            began = self._thread_time()
            answer = write()
            if len(body) <= _SMALL_BODY and live.servable.is_steady:
                _note_duration(live, (method, name), seconds + self._thread_time() - began)
            return answer

        return _Computed(values, written)

    def _compute_prediction(
        self, _: str, asked: RequestedVersion, document: dict[str, Any]
    ) -> "_Outcome":
        name = read_signature_name(document)
        with self._manager.hold(*asked) as live:
            signature = find_signature(live.servable, name)
            given = find_predict_input(document)
            inputs = read_inputs(given, signature)
            with measure_runtime(self._metrics, model=asked.model, api="Predict"):
                outputs = inference.predict(live.servable, signature, inputs)
        values = sum(array.size for array in outputs.values())
        write = partial(write_outputs, outputs, layout=given.layout)
        return _Outcome(live, signature.name, values, write)

    def _compute_examples(
        self, method: str, asked: RequestedVersion, document: dict[str, Any]
    ) -> "_Outcome":
        # Here, not above: it imports TensorFlow's messages, and by now they are there.
        from smartgrid_services.model_server.rest.examples import read_json_examples

        name = read_signature_name(document)
        examples = read_json_examples(document)
        with self._manager.hold(*asked) as live:
            self._metrics.count_examples(asked.model, len(examples))
            with measure_runtime(self._metrics, model=asked.model, api=method.capitalize()):
                if method == "classify":
                    classes = inference.classify(live.servable, name, examples)
                    values, write = classes.size, partial(write_classes, classes)
                else:
                    numbers = inference.regress(live.servable, name, examples)
                    values, write = len(numbers), partial(write_values, numbers)
        return _Outcome(live, name or DEFAULT_SIGNATURE, values, write)


class _Outcome(NamedTuple):
    """What a signature computed.

    Attributes:
        live: The version that computed it.
        signature: Name of the signature.
        values: Number of values in the answer.
        write: Returns the values as a JSON body.
    """

    live: LiveVersion
    signature: str
    values: int
    write: Callable[[], bytes]


class _Computed(NamedTuple):
    """An answer that is computed but not written yet.

    Attributes:
        values: Number of values in the answer.
        written: Returns the answer as a JSON body.
    """

    values: int
    written: Callable[[], bytes]


def _find_signature_name(body: bytes) -> str | None:
    """Return the signature that a small body names; None for none or an unreadable body."""
    # Most name none, and need no second reading; a key may be written with escapes.
    if b"signature_name" not in body and b"\\" not in body:
        return None
    try:
        return read_signature_name(parse_object(body))
    except ServingError:
        return None


def _note_duration(live: LiveVersion, key: tuple[str, str], seconds: float) -> None:
    """Remember what a small request took; one slow answer counts at once, quick ones by and by."""
    live.small_seconds[key] = max(seconds, 0.9 * live.small_seconds.get(key, seconds))
