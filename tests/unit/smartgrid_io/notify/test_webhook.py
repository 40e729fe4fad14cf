"""Webhooks against a receiver on localhost."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from smartgrid_io.notify.webhook import SIGNATURE_HEADER, WebhookNotifier

KEY = "known to both sides"
PAYLOAD = {"alert_id": "a1", "message": "Ngarkesë e lartë"}


class Receiver(ThreadingHTTPServer):
    """Keeps what was posted; answers with the status that the path names, `/slow` too late."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Post)
        self.posts: list[tuple[dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((dict(self.headers), body))
        if self.path == "/slow":
            time.sleep(0.5)
        status = int(self.path[1:]) if self.path[1:].isdigit() else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def send(address: str, **options: object) -> tuple[str, int | None]:
    with WebhookNotifier(**options) as notifier:
        delivery = notifier.send("webhook", address, PAYLOAD, message_id="m1")
    assert delivery.duration_ms >= 0
    return delivery.outcome, delivery.status_code


def test_a_message_is_posted_as_json_with_its_key(receiver):
    assert send(receiver.address) == ("delivered", 200)
    ((headers, body),) = receiver.posts
    assert json.loads(body) == PAYLOAD
    assert headers["Idempotency-Key"] == "m1"
    assert headers["Content-Type"] == "application/json"
    assert SIGNATURE_HEADER not in headers


def test_a_secret_signs_the_body(receiver):
    assert send(receiver.address, secret=KEY) == ("delivered", 200)
    ((headers, body),) = receiver.posts
    expected = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE_HEADER] == f"sha256={expected}"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_answer_but_success_is_a_refusal_and_no_redirect_is_followed(receiver, status):
    assert send(f"{receiver.address}/{status}") == ("refused", status)
    assert len(receiver.posts) == 1


def test_a_receiver_that_answers_too_late_is_a_timeout(receiver):
    assert send(f"{receiver.address}/slow", timeout_s=0.1) == ("timeout", None)


def test_nobody_there_is_unreachable(receiver):
    gone = receiver.address.rpartition(":")[0] + ":1"
    assert send(gone) == ("unreachable", None)


@pytest.mark.parametrize("address", ["not an address", "ftp://127.0.0.1/x", "http://"])
def test_what_is_no_address_is_unreachable(address):
    assert send(address) == ("unreachable", None)


def test_another_channel_is_a_mistake_of_ours():
    with WebhookNotifier() as notifier, pytest.raises(ValueError, match="sms"):
        notifier.send("sms", "+355", PAYLOAD, message_id="m1")
