import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from smartgrid_cli.machine.child_process import (
    CommandChild,
    find_leftovers,
    record_child,
    remove_leftovers,
    rotate_log,
)
from smartgrid_cli.machine.home import Home

pytestmark = pytest.mark.slow

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
FAMILY = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print('up', flush=True); time.sleep(60)",
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


def child(home: Home, command: list[str], **more: str) -> CommandChild:
    log = home.logs / "sleeper.log"
    return CommandChild(
        "sleeper",
        command,
        home=home,
        environment=more,
        ready=lambda: log.exists() and "up" in log.read_text(),
    )


def wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_child_starts_answers_and_stops(home: Home):
    sleeper = child(home, SLEEP)
    sleeper.start()
    wait_for(sleeper.is_ready)
    assert sleeper.is_alive()
    assert (home.run / "sleeper.json").exists()
    sleeper.stop()
    assert not sleeper.is_alive()
    assert not (home.run / "sleeper.json").exists()


def test_stopping_ends_the_children_of_a_child_too(home: Home):
    sleeper = child(home, FAMILY)
    sleeper.start()
    wait_for(sleeper.is_ready)
    family = find_leftovers(home, "sleeper")
    assert len(family) == 2
    sleeper.stop()
    assert not any(process.is_running() for process in family)


def test_a_killed_child_says_how_it_ended(home: Home):
    sleeper = child(home, SLEEP)
    sleeper.start()
    wait_for(sleeper.is_ready)
    psutil.Process(sleeper.pid).kill()
    wait_for(lambda: not sleeper.is_alive())
    assert (
        sleeper.explain_end() == f"sleeper was killed by SIGKILL; see {home.logs / 'sleeper.log'}"
    )


def test_a_secret_stays_out_of_the_command_line_and_the_log_is_the_owners(home: Home):
    sleeper = child(home, SLEEP, DATABASE_URL="postgresql://u:hunter2@h/d")
    sleeper.start()
    wait_for(sleeper.is_ready)
    try:
        assert "hunter2" not in " ".join(psutil.Process(sleeper.pid).cmdline())
        assert stat.S_IMODE(sleeper.log.stat().st_mode) == 0o600
    finally:
        sleeper.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_child_ends_with_its_killed_supervisor(home: Home):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from smartgrid_cli.machine.home import Home\n"
        "from smartgrid_cli.machine.child_process import CommandChild\n"
        "child = CommandChild('sleeper', [sys.executable, '-c', 'import time; time.sleep(60)'],"
        " home=Home(Path(sys.argv[1])), environment={}, ready=lambda: True)\n"
        "child.start(); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home.root)], stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        assert len(find_leftovers(home, "sleeper")) == 1
        supervisor.kill()
        supervisor.wait()
        wait_for(lambda: not find_leftovers(home))


def test_what_a_killed_supervisor_left_is_ended_and_others_are_not(home: Home, tmp_path: Path):
    sleeper, other = child(home, FAMILY), child(Home(tmp_path / "other").make(), SLEEP)
    sleeper.start()
    other.start()
    wait_for(lambda: sleeper.is_ready() and other.is_ready())
    try:
        assert remove_leftovers(home, keep=["sleeper"]) == 0
        assert remove_leftovers(home) == 2
        assert find_leftovers(home) == []
        assert other.is_alive()
    finally:
        sleeper.stop()
        other.stop()


def test_a_recorded_process_whose_number_is_now_another_is_left_alone(home: Home):
    record_child(home, "sleeper", os.getpid())
    note = home.run / "sleeper.json"
    note.write_text(note.read_text().replace('"create_time": 1', '"create_time": 2'))
    assert find_leftovers(home, "sleeper") == []


def test_a_long_log_is_cut_and_one_old_one_kept(tmp_path: Path):
    log = tmp_path / "a.log"
    log.write_text("x" * 100)
    rotate_log(log, limit=1000)
    assert log.read_text() == "x" * 100
    rotate_log(log, limit=50)
    assert log.read_text() == ""
    assert (tmp_path / "a.log.1").read_text() == "x" * 100


def test_who_answers_at_its_port_but_is_somebody_else_is_not_ready(home: Home):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        sleeper = CommandChild(
            "sleeper", SLEEP, home=home, environment={}, ready=lambda: True, port=port
        )
        sleeper.start()
        try:
            assert not sleeper.is_ready()
        finally:
            sleeper.stop()


def test_a_child_whose_own_child_listens_is_ready(home: Home):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-m', 'http.server', '{port}'])"
    )
    server = CommandChild(
        "server",
        [sys.executable, "-c", serve],
        home=home,
        environment={},
        ready=lambda: True,
        port=port,
    )
    server.start()
    try:
        wait_for(server.is_ready)
    finally:
        server.stop()
