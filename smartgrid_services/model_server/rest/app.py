"""The HTTP application: TensorFlow Serving's paths and codes, and what an orchestrator asks."""

import json
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple

from aiohttp import web

from smartgrid_services.model_server import metrics as counted
from smartgrid_services.model_server.metrics import Metrics
from smartgrid_services.model_server.rest.answers import RequestedVersion, RestInference
from smartgrid_services.model_server.rest.values import cut_text
from smartgrid_services.model_server.status import HTTP_STATUS, Code, ServingError
from smartgrid_services.model_server.version_manager import VersionManager, VersionState
from smartgrid_services.model_server.versions import parse_version
from smartgrid_services.model_server.watch import ModelWatch

log = logging.getLogger(__name__)

_MODEL = r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PREDICTION = re.compile(rf"{_MODEL}:(?P<method>classify|regress|predict)", re.IGNORECASE)
_METADATA = re.compile(rf"{_MODEL}/metadata", re.IGNORECASE)
_STATUS = re.compile(_MODEL, re.IGNORECASE)

_SMALLEST_COMPRESSED = 16 * 1024
"""Bytes; below, a compressed answer costs more than it saves."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestDependencies(NamedTuple):
    """What the HTTP application answers from.

    Attributes:
        manager: The versions that answer.
        watch: What is configured, and why it does not answer.
        metrics: Where requests are counted.
    """

    manager: VersionManager
    watch: ModelWatch
    metrics: Metrics
    serving: Callable[[], bool]
    """Whether predictions are taken yet."""


class RestApi:
    """The routes of TensorFlow Serving, and of health, readiness and metrics.

    All but quick requests are computed in the executor.
    """

    def __init__(self, served: RestDependencies, *, executor: Executor) -> None:
        self._served = served
        self._answers = RestInference(served.manager, served.metrics)
        self._executor = executor

    def build_application(self, *, max_body_bytes: int) -> web.Application:
        """Return the HTTP application; a body above `max_body_bytes` is refused with 413."""
        app = web.Application(client_max_size=max_body_bytes, middlewares=[_answer_errors])
        app.router.add_get("/health", self._answer_health)
        app.router.add_get("/ready", self._answer_ready)
        app.router.add_get(counted.PATH, self._answer_metrics)
        app.router.add_route("*", "/v1/{tail:.*}", self._serve)
        return app

    async def _answer_health(self, _: web.Request) -> web.Response:
        """Answer 200 as long as the process lives, and whether predictions are taken yet."""
        return _make_json_response({"status": "serving" if self._served.serving() else "starting"})

    async def _answer_ready(self, _: web.Request) -> web.Response:
        """Answer 200 once every configured model and label answers, else 503 with reasons."""
        watch, manager = self._served.watch, self._served.manager
        reasons = watch.list_reasons() if self._served.serving() else ["starting"]
        if reasons:
            problem = {"status": "not ready", "reason": "; ".join(reasons), "reasons": reasons}
            return _make_json_response(problem, status=503)
        answer: dict[str, Any] = {
            "status": "ready",
            "models": manager.list_live(),
            "labels": manager.list_labels(),
        }
        if (trouble := watch.find_config_trouble()) is not None:
            answer["config"] = trouble
        return _make_json_response(answer)

    async def _answer_metrics(self, _: web.Request) -> web.Response:
        """Answer Prometheus' text format."""
        return web.Response(
            body=self._served.metrics.format_page(), content_type=counted.CONTENT_TYPE
        )

    async def _serve(self, request: web.Request) -> web.Response:
        """Answer TensorFlow Serving's paths: predictions, metadata and status of a model."""
        path = request.path
        if request.method == "POST" and (match := _PREDICTION.fullmatch(path)):
            body = await request.read()
            asked, method = _parse_requested(match), match["method"].lower()
            answer = await self._answers.answer(method, asked, body, beside=self._executor)
        elif request.method == "GET" and (match := _METADATA.fullmatch(path)):
            answer = self._answers.read_metadata(_parse_requested(match))
        elif request.method == "GET" and (match := _STATUS.fullmatch(path)):
            answer = self._answer_status(_parse_requested(match))
        elif request.method == "GET" and path.rstrip("/").lower() == "/v1/models":
            raise ServingError(Code.INVALID_ARGUMENT, "Missing model name in request.")
        else:
            raise ServingError(Code.INVALID_ARGUMENT, f"Malformed request: {request.method} {path}")
        response = web.Response(body=answer, content_type="application/json")
        if len(answer) >= _SMALLEST_COMPRESSED and "gzip" in request.headers.get(
            "Accept-Encoding", ""
        ):
            response.enable_compression(web.ContentCoding.gzip)
        return response

    def _answer_status(self, asked: RequestedVersion) -> bytes:
        # Like TensorFlow Serving, which looks at the version but not at the label.
        """Return the states of a model's versions as a JSON body."""
        states = self._served.manager.list_states(asked.model, asked.version)
        return _dump_pretty({"model_version_status": [_to_state_json(state) for state in states]})


def _parse_requested(match: re.Match[str]) -> RequestedVersion:
    digits = match["version"]
    version = None if digits is None else parse_version(digits)
    if digits is not None and version is None:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"Failed to convert version: {cut_text(digits)} to numeric."
        )
    return RequestedVersion(match["model"], version, match["label"])


def _to_state_json(state: VersionState) -> dict[str, Any]:
    return {
        "version": str(state.version),
        "state": state.state.name,
        "status": {"error_code": state.code.name, "error_message": state.message},
    }


def _dump_pretty(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _make_json_response(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(value).encode(), status=status, content_type="application/json"
    )


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every refusal as `{"error": ...}`; an unforeseen error is logged and not described."""
    try:
        return await handler(request)
    except ServingError as error:
        return _make_json_response({"error": error.message}, status=HTTP_STATUS[error.code])
    except web.HTTPException as error:
        return _make_json_response({"error": error.text or error.reason}, status=error.status)
    except web.RequestPayloadError as error:
        return _make_json_response({"error": f"the body cannot be read: {error}"}, status=400)
    except MemoryError:
        return _make_json_response({"error": "the request needs too much memory"}, status=429)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _make_json_response({"error": "internal error, see the server's log"}, status=500)
