"""Whether a process answers, asked often while it starts: a question costs next to nothing."""

import http.client
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from smartgrid_cli.machine.tcp_ports import LOCALHOST


def make_http_probe(url: str) -> Callable[[], bool]:
    """Return what says whether a GET of the URL succeeds."""
    address = urlsplit(url)

    def ask() -> bool:
        connection = http.client.HTTPConnection(address.netloc, timeout=2.0)
        try:
            connection.request("GET", address.path)
            return connection.getresponse().status < http.HTTPStatus.BAD_REQUEST
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def make_port_probe(port: int) -> Callable[[], bool]:
    """Return what says whether somebody takes connections on the port.

    That is enough for a program that listens only once it is ready.
    """

    def ask() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((LOCALHOST, port)) == 0

    return ask
