"""Processes are forked of one that has imported everything, and are as good as started anew."""

import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from smartgrid_cli.machine.child_process import CommandChild
from smartgrid_cli.machine.home import Home
from smartgrid_cli.machine.image_child import find_image_socket
from smartgrid_cli.machine.warm_socket import ImageConnection, WarmProcess, send_signal
from smartgrid_core.errors import ServerError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent"),
]


def find_modules(home: Home) -> dict[str, str]:
    """A forked process imports from where its image does."""
    folders = [str(home.root.parent), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}


NAPPER = """
import os, sys, time
print("up", os.getpid(), "PASSWORD" in os.environ, "colorsys" in sys.modules, *sys.argv[1:])
time.sleep(float(sys.argv[1]))
sys.exit(int(sys.argv[2]))
"""


def wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "napper.py").write_text(NAPPER)
    return Home(tmp_path / "home").make()


@pytest.fixture
def image(home: Home) -> Iterator[CommandChild]:
    """An image that has imported a module that nothing else imports."""
    path = find_image_socket(home)
    image = CommandChild(
        "warm_image",
        [sys.executable, "-m", "smartgrid_cli.machine.warm_image", str(path), "colorsys"],
        home=home,
        environment=find_modules(home),
        ready=path.exists,
    )
    image.start()
    wait_for(image.is_ready)
    yield image
    image.stop()


@pytest.fixture
def socket_path(home: Home, image: CommandChild) -> Path:
    return find_image_socket(home)


def nap(path: Path, home: Home, seconds: float = 60.0, code: int = 0, name: str = "nap"):
    return WarmProcess(
        path,
        name,
        ["napper", str(seconds), str(code)],
        environment={"PASSWORD": "hunter2"},
        log=home.logs / f"{name}.log",
    )


def test_a_forked_process_has_its_own_arguments_variables_and_log(home: Home, socket_path: Path):
    process = nap(socket_path, home, seconds=0.0, code=7)
    assert process.wait(20) == 7
    assert (home.logs / "nap.log").read_text() == f"up {process.pid} True True 0.0 7\n"


def test_it_leads_a_session_of_its_own_and_no_secret_is_on_its_command_line(
    home: Home, socket_path: Path
):
    process = nap(socket_path, home)
    wait_for((home.logs / "nap.log").exists)
    assert os.getsid(process.pid) == process.pid
    assert "hunter2" not in " ".join(psutil.Process(process.pid).cmdline())
    process.kill()
    assert process.wait(20) == -signal.SIGKILL


def test_whoever_started_it_learns_by_which_signal_it_ended(home: Home, socket_path: Path):
    process = nap(socket_path, home)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL


def test_it_is_known_by_its_name_to_everybody_who_may_ask(home: Home, socket_path: Path):
    process = nap(socket_path, home, name="run/1")
    assert send_signal(socket_path, "run/1", 0) == process.pid
    assert send_signal(socket_path, "run/2", 0) is None
    assert send_signal(socket_path, "run/1", signal.SIGTERM) == process.pid
    assert process.wait(20) == -signal.SIGTERM
    wait_for(lambda: send_signal(socket_path, "run/1", 0) is None)


def test_it_outlives_whoever_started_it_and_ends_with_the_image(
    home: Home, image: CommandChild, socket_path: Path
):
    process = nap(socket_path, home)
    process._image.close()
    time.sleep(0.3)
    assert psutil.pid_exists(process.pid)
    other = nap(socket_path, home, name="other")
    assert image.pid is not None
    os.kill(image.pid, signal.SIGKILL)
    assert other.wait(20) == -signal.SIGKILL
    wait_for(lambda: not psutil.pid_exists(process.pid))


def test_a_child_of_the_supervisor_starts_that_way(home: Home, socket_path: Path):
    child = CommandChild(
        "nap",
        [sys.executable, "-m", "napper", "60", "0"],
        home=home,
        environment={},
        ready=lambda: "up" in (home.logs / "nap.log").read_text(),
        image=socket_path,
    )
    child.start()
    wait_for(child.is_ready)
    assert psutil.Process(child.pid).ppid() != os.getpid()
    assert stat.S_IMODE((home.logs / "nap.log").stat().st_mode) == 0o600
    child.stop()
    assert not child.is_alive()


def test_nobody_else_may_ask_the_image(socket_path: Path):
    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700


def test_garbage_gets_an_answer_and_harms_nothing(home: Home, socket_path: Path):
    connection = ImageConnection(socket_path)
    with pytest.raises(ServerError, match="not understood"):
        connection.ask({"name": "nap"})
    connection._socket.sendall(b"\x00\xff not json\n")
    assert connection.read(10) is not None
    connection._socket.sendall(b"half a line")
    connection.close()
    assert nap(socket_path, home, seconds=0.0).wait(20) == 0


def test_a_path_that_is_too_long_for_a_socket_is_fine(tmp_path: Path):
    folder = tmp_path / ("long" * 40)
    home = Home(folder).make()
    (tmp_path / "napper.py").write_text(NAPPER)
    path = find_image_socket(home)
    assert len(str(path)) > 108
    image = CommandChild(
        "warm_image",
        [sys.executable, "-m", "smartgrid_cli.machine.warm_image", str(path)],
        home=home,
        environment=find_modules(home),
        ready=path.exists,
    )
    image.start()
    try:
        wait_for(image.is_ready)
        assert nap(path, home, seconds=0.0).wait(20) == 0
    finally:
        image.stop()


def test_where_nobody_listens_the_error_names_the_socket(home: Home):
    path = find_image_socket(home)
    with pytest.raises(ServerError, match=f"nobody starts processes at {path}"):
        ImageConnection(path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(ServerError, match=f"nobody starts processes at {path}"):
        send_signal(path, "nap", 0)
