"""Messages posted as JSON to an address: a Notifier for the channel `webhook`."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from smartgrid_core.protocols import Delivery

TIMEOUT_S = 5.0
"""A receiver that has not answered by then is tried again later."""

DETAIL_CHARS = 200

SIGNATURE_HEADER = "X-SmartGrid-Signature"


class WebhookNotifier:
    """Posts each message with its Idempotency-Key; signs the body if there is a secret.

    The signature is `sha256=<hex>`, the HMAC-SHA256 of the body's bytes with the secret.
    """

    def __init__(self, *, secret: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._secret = secret.encode() if secret else None
        self._timeout_s = timeout_s
        self._opened: httpx.Client | None = None

    @property
    def _client(self) -> httpx.Client:
        """Connections, made when there is something to send: certificates take time to read."""
        if self._opened is None:
            self._opened = httpx.Client(timeout=self._timeout_s, follow_redirects=False)
        return self._opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def send(
        self, channel: str, recipient: str, payload: Mapping[str, Any], *, message_id: str
    ) -> Delivery:
        """Post a message once and return how that ended; any answer but 2xx is `refused`.

        Nothing that the receiver does raises an error.

        Args:
            channel: `webhook`.
            recipient: The address to post to.
            payload: The message, sent as JSON.
            message_id: Sent as Idempotency-Key; the same for every attempt.

        Returns:
            Outcome (`delivered`, `refused`, `timeout` or `unreachable`), status code and duration
            in ms.

        Raises:
            ValueError: The channel is not `webhook`.
        """
        if channel != "webhook":
            raise ValueError(f"channel {channel!r} is not a webhook")
        body = json.dumps(payload, sort_keys=True).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": message_id}
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = sign_body(body, secret=self._secret)
        began = time.perf_counter()
        outcome, status, detail = self._post(recipient, body, headers)
        return Delivery(
            outcome=outcome,
            status_code=status,
            detail=detail,
            duration_ms=(time.perf_counter() - began) * 1000,
        )

    def _post(
        self, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[str, int | None, str | None]:
        try:
            # Only the status counts: a receiver that never ends its answer cannot hold us up.
            with self._client.stream(
                "POST", address, content=body, headers=dict(headers)
            ) as answer:
                if answer.is_success:
                    return "delivered", answer.status_code, None
                return "refused", answer.status_code, answer.reason_phrase[:DETAIL_CHARS]
        except httpx.TimeoutException as error:
            return "timeout", None, type(error).__name__
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return "unreachable", None, f"{type(error).__name__}: {error}"[:DETAIL_CHARS]


def sign_body(body: bytes, *, secret: bytes) -> str:
    """Return the value of the signature header for a body.

    The receiver computes it over the body as it came and compares in constant time.

    >>> sign_body(b"{}", secret=b"key")[:15]
    'sha256=a777724d'
    """
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
