"""The REST side: TensorFlow Serving's paths, JSON and codes, and what an orchestrator asks."""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple

from aiohttp import web
from google.protobuf import json_format

from smartgrid_services.model_server.catalog import Catalog, VersionState
from smartgrid_services.model_server.json_tensors import (
    read_inputs,
    read_predict_body,
    write_outputs,
)
from smartgrid_services.model_server.signatures import compute, signature_of
from smartgrid_services.model_server.status import HTTP_STATUS, Code, ServingError
from smartgrid_services.model_server.versions import LARGEST_VERSION
from smartgrid_services.model_server.watch import Watch

log = logging.getLogger(__name__)

_MODEL = (
    r"/v1/models/(?P<model>[^/:]+)"
    r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
)
_PREDICT = re.compile(rf"{_MODEL}:predict", re.IGNORECASE)
_METADATA = re.compile(rf"{_MODEL}/metadata", re.IGNORECASE)
_STATUS = re.compile(_MODEL, re.IGNORECASE)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Asked(NamedTuple):
    """The version that a path names; neither version nor label is the newest one."""

    model: str
    version: int | None
    label: str | None


class RestApi:
    """The routes over one catalog; requests compute in the executor, not in the event loop."""

    def __init__(
        self, catalog: Catalog, watch: Watch, *, executor: Executor, serving: Callable[[], bool]
    ) -> None:
        self._catalog = catalog
        self._watch = watch
        self._executor = executor
        self._serving = serving

    def application(self, *, max_body_bytes: int) -> web.Application:
        """The HTTP application; a larger body is refused with 413."""
        app = web.Application(client_max_size=max_body_bytes, middlewares=[_errors_as_json])
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_route("*", "/v1/{tail:.*}", self._serve)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        """200 as long as the process answers; says whether it takes predictions yet."""
        return web.json_response({"status": "serving" if self._serving() else "starting"})

    async def _ready(self, _: web.Request) -> web.Response:
        """200 once every configured model and label answers, 503 with the reasons before."""
        reasons = self._watch.reasons() if self._serving() else ["starting"]
        if reasons:
            return web.json_response(
                {"status": "not ready", "reason": "; ".join(reasons), "reasons": reasons},
                status=503,
            )
        answer: dict[str, Any] = {
            "status": "ready",
            "models": self._catalog.live(),
            "labels": self._catalog.labels(),
        }
        if (trouble := self._watch.config_trouble()) is not None:
            answer["config"] = trouble
        return web.json_response(answer)

    async def _serve(self, request: web.Request) -> web.Response:
        path = request.path
        if request.method == "POST" and (match := _PREDICT.fullmatch(path)):
            body = await request.read()
            answer = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._predict, _named(match), body
            )
        elif request.method == "GET" and (match := _METADATA.fullmatch(path)):
            answer = self._metadata(_named(match))
        elif request.method == "GET" and (match := _STATUS.fullmatch(path)):
            answer = self._status(_named(match))
        else:
            raise ServingError(Code.INVALID_ARGUMENT, f"Malformed request: {request.method} {path}")
        return web.Response(body=answer, content_type="application/json")

    def _predict(self, asked: _Asked, body: bytes) -> bytes:
        request = read_predict_body(body)
        with self._catalog.hold(*asked) as live:
            signature = signature_of(live.servable, request.signature_name)
            inputs = read_inputs(request, signature)
            outputs = compute(live.servable, signature, inputs)
        return write_outputs(outputs, layout=request.layout)

    def _metadata(self, asked: _Asked) -> bytes:
        with self._catalog.hold(*asked) as live:
            signatures = json_format.MessageToDict(
                live.servable.signature_map,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            number = str(live.version)
        return _pretty(
            {
                "model_spec": {"name": asked.model, "signature_name": "", "version": number},
                "metadata": {"signature_def": signatures},
            }
        )

    def _status(self, asked: _Asked) -> bytes:
        states = self._catalog.status(*asked)
        return _pretty({"model_version_status": [_state_as_json(state) for state in states]})


def _named(match: re.Match[str]) -> _Asked:
    version, label = match["version"], match["label"]
    if version is not None and int(version) > LARGEST_VERSION:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"Failed to convert version: {version} to numeric."
        )
    return _Asked(match["model"], None if version is None else int(version), label)


def _state_as_json(state: VersionState) -> dict[str, Any]:
    return {
        "version": str(state.version),
        "state": state.state.name,
        "status": {"error_code": state.code.name, "error_message": state.message},
    }


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal is `{"error": ...}`; what we did not foresee is logged and not told."""
    try:
        return await handler(request)
    except ServingError as error:
        return web.json_response({"error": error.message}, status=HTTP_STATUS[error.code])
    except web.HTTPException as error:
        return web.json_response({"error": error.text or error.reason}, status=error.status)
    except MemoryError:
        return web.json_response({"error": "the request needs too much memory"}, status=429)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return web.json_response({"error": "internal error, see the server's log"}, status=500)
