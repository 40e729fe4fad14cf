"""The client of TensorFlow Serving's gRPC and REST, for any server that speaks them; without
TensorFlow.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import grpc
import httpx
import numpy as np
import polars as pl
from google.protobuf.message import Message
from numpy.typing import NDArray

from smartgrid_core.errors import ContractError, ModelUnavailableError
from smartgrid_core.model_protocols import Quantiles
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_io.serving import wire

_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The server is a neighbour: a proxy from the environment would only be in the way.
    ("grpc.enable_http_proxy", 0),
    # A restarted server is found within a second; the library's own pause grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]

_MISSING_LABEL_CODES = {
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
}
"""gRPC codes for a label, or its model or version, that is not there."""

_UNKNOWN_LABEL = "Unrecognized servable version label"
"""TensorFlow Serving calls a label that it does not know an invalid argument."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version of a served model."""

    version: str
    """The version's number."""
    state: str
    """START, LOADING, AVAILABLE, UNLOADING or END."""
    error_code: str = "OK"
    """Other than OK for a version that could not be loaded; its state is END."""
    error_message: str = ""
    """Why it could not be loaded, in the server's words."""

    @property
    def is_available(self) -> bool:
        """Whether it answers predictions."""
        return self.state == "AVAILABLE"

    @property
    def is_failed(self) -> bool:
        """Whether the server tried to load it and could not."""
        return self.state == "END" and self.error_code != "OK"


class ModelServerClient:
    """Asks a model server; safe to share between threads, to be closed at the end.

    `grpc_target` is "host:port", `rest_url` "http://host:port", `timeout` seconds per call.
    """

    def __init__(self, grpc_target: str, rest_url: str, timeout: float = 10.0) -> None:
        self.grpc_target = grpc_target
        self.rest_url = rest_url.rstrip("/")
        self.timeout = timeout
        self._channel = grpc.insecure_channel(grpc_target, options=_CHANNEL_OPTIONS)
        self._predict = self._make_method(wire.PREDICT, wire.parse_predict_response)
        self._status = self._make_method(wire.MODEL_STATUS, wire.parse_status_response)
        self._metadata = self._make_method(wire.METADATA, wire.parse_metadata_response)
        self._reload = self._make_method(wire.RELOAD, wire.parse_reload_response)
        self._http = httpx.Client(base_url=self.rest_url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connections."""
        self._channel.close()
        self._http.close()

    def predict(
        self,
        model: str,
        features: Mapping[str, Any],
        version: int | str | None = None,
        *,
        label: str | None = None,
    ) -> Quantiles:
        """Return quantiles for a batch, asked over gRPC.

        Args:
            model: Name of the model.
            features: One array-like (batch,) per input of the model, sent as float32; null is NaN.
            version: The version to ask; None is the newest, or the one with the label.
            label: The label to ask, such as `stable`; None asks by version.

        Returns:
            P10, P50 and P90 of each row, kW, and the version that answered.

        Raises:
            ModelUnavailableError: That version is not live or does not answer, or the label means
                none; names model and server.
            ContractError: The features, or what came back, are not what was agreed.
        """
        batch, inputs = _to_columns(model, features)
        number = None if version is None else int(version)
        request = wire.build_predict_request(model, inputs, version=number, label=label)
        response = self._call(self._predict, request, model=model)
        return Quantiles(
            frame=_build_quantile_frame(
                {
                    name: _read_output(tensor, model, name)
                    for name, tensor in response.outputs.items()
                },
                model=model,
                batch=batch,
            ),
            model=model,
            model_version=str(response.model_spec.version.value),
        )

    def predict_over_rest(
        self,
        model: str,
        features: Mapping[str, Any],
        version: int | str | None = None,
        *,
        label: str | None = None,
    ) -> Quantiles:
        """Return the same quantiles as `predict`, asked over REST, columns in and columns out.

        A REST answer does not name the version that gave it, so one is asked for: that of the
        label, or the newest live one.

        Args:
            model: Name of the model.
            features: One array-like (batch,) per input of the model, sent as float32; null is NaN.
            version: The version to ask; None is the newest live one, or the one with the label.
            label: The label to ask; None asks by version.

        Returns:
            P10, P50 and P90 of each row, kW, and the version that was asked.

        Raises:
            ModelUnavailableError: No such version is live, or the server does not answer.
            ContractError: The features, or what came back, are not what was agreed.
        """
        batch, inputs = _to_columns(model, features)
        if label is not None:
            version = self.find_labelled_version(model, label)
        elif version is None:
            version = next(iter(self.list_live_versions(model)), None)
        if version is None:
            cause = "no version is live" if label is None else f"label {label} means no version"
            raise self._to_unavailable(model, cause, server=self.rest_url)
        # The standard library's JSON writes NaN and Infinity, which the server reads; httpx's
        # `json=` refuses them.
        columns_in = {name: values.tolist() for name, values in inputs.items()}
        body = json.dumps({"inputs": columns_in}).encode()
        answer = self._send_rest(
            "POST", f"/v1/models/{quote(model)}/versions/{version}:predict", body
        )
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise ContractError(
                f"{model}: the model server refused it: {_describe_rest_error(answer)}"
            )
        if answer.status_code != httpx.codes.OK:
            raise self._to_unavailable(model, _describe_rest_error(answer), server=self.rest_url)
        outputs = answer.json()["outputs"]
        if not isinstance(outputs, dict):
            raise ContractError(f"{model}: one bare output came back, expected p10, p50 and p90")
        columns = {name: np.asarray(values, dtype=np.float64) for name, values in outputs.items()}
        return Quantiles(
            frame=_build_quantile_frame(columns, model=model, batch=batch),
            model=model,
            model_version=str(version),
        )

    def list_live_versions(self, model: str) -> Sequence[str]:
        """Return versions in state AVAILABLE, newest first; empty if none or the server is away."""
        try:
            statuses = self.read_version_status(model)
        except ModelUnavailableError:
            return []
        live = [int(status.version) for status in statuses if status.is_available]
        return [str(version) for version in sorted(live, reverse=True)]

    def read_version_status(self, model: str) -> Sequence[VersionStatus]:
        """Return every version the server knows of, newest first; empty for an unknown model.

        Raises ModelUnavailableError if the server does not answer.
        """
        try:
            response = self._status(wire.build_status_request(model), timeout=self.timeout)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return []
            raise self._to_unavailable(model, _describe_rpc_error(error)) from error
        newest_first = sorted(
            response.model_version_status, key=lambda item: item.version, reverse=True
        )
        return [
            VersionStatus(
                version=str(item.version),
                state=wire.STATES.get(item.state, "UNKNOWN"),
                error_code=wire.ERROR_CODES.get(item.status.error_code, "UNKNOWN"),
                error_message=item.status.error_message,
            )
            for item in newest_first
        ]

    def find_labelled_version(self, model: str, label: str) -> str | None:
        """Return the version that answers under the label; None if no live one does.

        Raises ModelUnavailableError if the server does not answer.
        """
        request = wire.build_metadata_request(model, label=label)
        try:
            response = self._metadata(request, timeout=self.timeout)
        except grpc.RpcError as error:
            if error.code() in _MISSING_LABEL_CODES:
                return None
            raise self._to_unavailable(model, _describe_rpc_error(error)) from error
        return str(response.model_spec.version.value)

    def reload_config(self, config: bytes) -> None:
        """Have the server follow this config (a serialized ModelServerConfig) and no other.

        Raises ModelUnavailableError with the server's own words if it refuses or does not answer.
        """
        try:
            response = self._reload(wire.build_reload_request(config), timeout=self.timeout)
        except grpc.RpcError as error:
            raise ModelUnavailableError(
                f"the model server {self.grpc_target} did not take the models' config: "
                f"{_describe_rpc_error(error)}"
            ) from error
        if response.status.error_code:
            raise ModelUnavailableError(
                f"the model server {self.grpc_target} did not take the models' config: "
                f"{response.status.error_message}"
            )

    def list_input_names(
        self, model: str, version: int | str | None = None, *, label: str | None = None
    ) -> Sequence[str]:
        """Return the names of the features that a live version's serving signature takes, sorted.

        Raises ModelUnavailableError naming model and server.
        """
        path = f"/v1/models/{quote(model)}"
        if label is not None:
            path += f"/labels/{quote(label)}"
        elif version is not None:
            path += f"/versions/{version}"
        answer = self._send_rest("GET", f"{path}/metadata")
        if answer.status_code != httpx.codes.OK:
            raise self._to_unavailable(model, _describe_rest_error(answer), server=self.rest_url)
        signatures = answer.json()["metadata"]["signature_def"]["signature_def"]
        return sorted(signatures["serving_default"]["inputs"])

    def _make_method(self, path: str, parse: Callable[[bytes], Any]) -> Callable[..., Any]:
        method: Callable[..., Any] = self._channel.unary_unary(
            path, request_serializer=_serialize, response_deserializer=parse
        )
        return method

    def _call(self, method: Callable[..., Any], request: Message, *, model: str) -> Any:
        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            is_label = _UNKNOWN_LABEL in (error.details() or "")
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT and not is_label:
                raise ContractError(
                    f"{model}: the model server {self.grpc_target} refused the features: "
                    f"{error.details()}"
                ) from error
            raise self._to_unavailable(model, _describe_rpc_error(error)) from error

    def _send_rest(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        try:
            return self._http.request(method, path, content=body)
        except httpx.HTTPError as error:
            model = path.split("/")[3]
            cause = str(error) or type(error).__name__
            raise self._to_unavailable(model, cause, server=self.rest_url) from error

    def _to_unavailable(
        self, model: str, cause: str, *, server: str | None = None
    ) -> ModelUnavailableError:
        return ModelUnavailableError(
            f"model {model} does not answer at {server or self.grpc_target}: {cause}"
        )


def _serialize(request: Message) -> bytes:
    return request.SerializeToString()


def _to_columns(
    model: str, features: Mapping[str, Any]
) -> tuple[int, dict[str, NDArray[np.float32]]]:
    """Return the batch size, and every feature as float32 (batch,).

    Raises ContractError naming the first bad feature.
    """
    columns: dict[str, NDArray[np.float32]] = {}
    batch: int | None = None
    for name, values in features.items():
        try:
            column = np.asarray(_fill_nulls(values), dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ContractError(f"{model}: feature {name} is not numeric: {error}") from error
        if column.ndim != 1:
            raise ContractError(
                f"{model}: feature {name} has shape {column.shape}, expected (batch,)"
            )
        if batch is not None and len(column) != batch:
            raise ContractError(
                f"{model}: feature {name} has {len(column)} rows, the ones before it {batch}"
            )
        batch = len(column)
        columns[name] = column
    if batch is None:
        raise ContractError(f"{model}: no features were given")
    return batch, columns


def _fill_nulls(values: Any) -> Any:
    """Return a Series without nulls (NaN stands for them), anything else as it is."""
    if isinstance(values, pl.Series):
        return values.cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return values


def _read_output(tensor: Any, model: str, name: str) -> NDArray[np.float64]:
    try:
        return wire.read_tensor(tensor)
    except ValueError as error:
        raise ContractError(f"{model}: output {name} cannot be read: {error}") from error


def _build_quantile_frame(
    outputs: Mapping[str, NDArray[np.float64]], *, model: str, batch: int
) -> pl.DataFrame:
    """Return columns p10, p50, p90 as Float64, `batch` rows; (batch, 1) counts as (batch,).

    Raises ContractError naming an output that is missing or of another shape.
    """
    missing = [name for name in OUTPUTS if name not in outputs]
    if missing:
        raise ContractError(
            f"{model}: output {missing[0]} is missing, the model gives {sorted(outputs)}"
        )
    for name in OUTPUTS:
        if outputs[name].shape not in {(batch,), (batch, 1)}:
            raise ContractError(
                f"{model}: output {name} has shape {outputs[name].shape}, expected ({batch},)"
            )
    return pl.DataFrame(
        {name: outputs[name].reshape(batch) for name in OUTPUTS},
        schema=dict.fromkeys(OUTPUTS, pl.Float64),
    )


def _describe_rpc_error(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {error.details()}"


def _describe_rest_error(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
