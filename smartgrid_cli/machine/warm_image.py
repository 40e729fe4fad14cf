"""A process that has imported what the others need, and becomes each of them by a fork.

Importing Dagster and the graph takes seconds of processor time and 200 MB; a fork takes
milliseconds and shares those pages. The services and every run of the graph start this way.

Run as a program: `python -m smartgrid_cli.machine.warm_image SOCKET MODULE ...` imports the
modules, calls `warm_up` of those that have it, and answers at the Unix socket, one JSON object a
line. `{"name", "argv", "environment", "log"}` starts a process that runs as `python -m argv...`;
the answer is `{"pid"}` at once and `{"exit"}` at its end. `{"name", "signal"}` sends a signal to
the process of that name (0 only asks whether there is one); the answer is `{"pid"}`, null for none.
All that it started imports from where it does, and ends with it.

Nothing here starts a thread or runs a query: a fork copies only the thread that calls it.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from smartgrid_cli.machine.die_with_parent import PR_SET_PDEATHSIG
from smartgrid_cli.machine.warm_socket import LONGEST_LINE, open_socket_folder

CLIENT: Final = "client"
LISTENER: Final = "listener"
CHILDREN: Final = "children"


@dataclass(frozen=True, slots=True)
class ProcessRequest:
    """A process to be started.

    Attributes:
        name: What it is called; one process of a name is known at a time, the newest.
        argv: A module and its arguments, as after `python -m`.
        environment: All its variables; may hold secrets.
        log: The file that takes its output; None for the image's own.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: str | None


@dataclass
class WarmImage:
    """Answers at a Unix socket until it is ended.

    Attributes:
        listener: The listening socket.
    """

    listener: socket.socket
    _poller: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _buffers: dict[socket.socket, bytes] = field(default_factory=dict)
    _children: dict[int, tuple[str, socket.socket]] = field(default_factory=dict)

    def serve(self) -> ProcessRequest:
        """Answer requests; return only in a new process, with what that has to become."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._poller.register(self.listener, selectors.EVENT_READ, LISTENER)
        self._poller.register(reader, selectors.EVENT_READ, CHILDREN)
        while True:
            for key, _ in self._poller.select():
                if key.data == LISTENER:
                    self._accept()
                elif key.data == CHILDREN:
                    with contextlib.suppress(BlockingIOError):
                        reader.recv(4096)
                    self._collect_ended()
                else:
                    request = self._answer(key.fileobj)  # type: ignore[arg-type]
                    if request is not None:
                        signal.set_wakeup_fd(-1)
                        reader.close()
                        writer.close()
                        return request

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        client.setblocking(True)
        client.settimeout(5.0)
        self._buffers[client] = b""
        self._poller.register(client, selectors.EVENT_READ, CLIENT)

    def _answer(self, client: socket.socket) -> ProcessRequest | None:
        """Read what a client sent and answer whole lines; a request only in a new process."""
        try:
            received = client.recv(65_536)
        except OSError:
            received = b""
        if not received:
            self._forget(client)
            return None
        text = self._buffers[client] + received
        *lines, self._buffers[client] = text.split(b"\n")
        if len(self._buffers[client]) > LONGEST_LINE:
            self._forget(client)
            return None
        for line in lines:
            request = self._answer_line(client, line)
            if request is not None:
                return request
        return None

    def _answer_line(self, client: socket.socket, line: bytes) -> ProcessRequest | None:
        try:
            asked = json.loads(line)
            if "signal" in asked:
                self._send(client, {"pid": self._signal(str(asked["name"]), int(asked["signal"]))})
                return None
            request = ProcessRequest(
                str(asked["name"]),
                [str(part) for part in asked["argv"]],
                {str(key): str(value) for key, value in asked["environment"].items()},
                None if asked["log"] is None else str(asked["log"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._send(client, {"error": f"not understood: {error!r}"})
            return None
        return self._fork(client, request)

    def _fork(self, client: socket.socket, request: ProcessRequest) -> ProcessRequest | None:
        """Start a process: None in the image, the request in the new process."""
        image = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._send(client, {"error": f"no process can be started: {error.strerror}"})
            return None
        if pid:
            self._children[pid] = (request.name, client)
            self._send(client, {"pid": pid})
            return None
        self._become_child(image)
        return request

    def _become_child(self, image: int) -> None:
        """Let go, in a new process, of all that is the image's, and end when the image does."""
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != image:
            os._exit(1)
        for one in (self.listener, *self._buffers):
            one.close()
        self._poller.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _collect_ended(self) -> None:
        """Tell of every process that has ended how it did: its code, or the signal negated."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            _, client = self._children.pop(pid, ("", None))
            if client is not None:
                self._send(client, {"exit": os.waitstatus_to_exitcode(status)})

    def _signal(self, name: str, number: int) -> int | None:
        """Send a signal to the newest process of the name; 0 only asks whether there is one."""
        pid = next(
            (pid for pid, (known, _) in reversed(self._children.items()) if known == name), None
        )
        if pid is not None and number:
            os.kill(pid, number)
        return pid

    def _send(self, client: socket.socket, answer: Mapping[str, Any]) -> None:
        """Send an answer; a client that is gone or does not read is forgotten."""
        if client not in self._buffers:
            return
        try:
            client.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            self._forget(client)

    def _forget(self, client: socket.socket) -> None:
        self._poller.unregister(client)
        del self._buffers[client]
        client.close()


def run_as_module(request: ProcessRequest) -> None:
    """Become, in a new process, what `python -m` with these arguments would be."""
    os.environ.clear()
    os.environ.update(request.environment)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    if request.log is not None:
        with Path(request.log).open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    module, *arguments = request.argv
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Import, listen, and become whatever is asked for."""
    path, *modules = sys.argv[1:]
    # Whatever an import makes stays: a collection in between finds nothing and takes a tenth.
    gc.disable()
    for module in modules:
        warm_up = getattr(importlib.import_module(module), "warm_up", None)
        if warm_up is not None:
            warm_up()
    gc.collect()
    # A collection would write into every object's header, and so copy the shared pages.
    gc.freeze()
    gc.enable()
    folder, address = open_socket_folder(Path(path))
    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        umask = os.umask(0o177)
        listener.bind(address)
        os.umask(umask)
        os.close(folder)
        listener.listen(64)
        request = WarmImage(listener).serve()
    run_as_module(request)


if __name__ == "__main__":
    main()
