import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartgrid_cli.machine.tcp_ports import MovedPort, Reservations, choose_ports

WISHES = {"postgres": 5432, "dagster": 3000, "mlflow": 5500}


def test_who_finds_its_port_free_gets_it():
    assert choose_ports(WISHES, free=lambda port: True) == (WISHES, [])


def test_who_finds_its_port_taken_moves_to_the_next_and_says_so():
    granted, moved = choose_ports(WISHES, free=lambda port: port not in (3000, 3001))
    assert granted == {"postgres": 5432, "dagster": 3002, "mlflow": 5500}
    assert [str(move) for move in moved] == ["dagster: port 3000 is taken, using 3002"]


def test_nobody_moves_onto_the_port_of_another():
    granted, moved = choose_ports({"a": 3000, "b": 3001}, free=lambda port: port != 3000)
    assert granted == {"a": 3002, "b": 3001}
    assert moved == [MovedPort("a", 3000, 3002)]


@given(
    wishes=st.dictionaries(st.sampled_from("abcdef"), st.integers(3000, 3005)),
    taken=st.sets(st.integers(3000, 3010)),
)
def test_ports_are_free_and_each_is_given_once(wishes: dict[str, int], taken: set[int]):
    granted, moved = choose_ports(wishes, free=lambda port: port not in taken)
    assert list(granted) == list(wishes)
    assert len(set(granted.values())) == len(granted)
    assert not taken & set(granted.values())
    assert {move.name for move in moved} == {n for n in wishes if granted[n] != wishes[n]}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(params=["linux", "darwin"])
def platform(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The way of a platform with abstract names, and of one without."""
    if request.param == "linux" and sys.platform != "linux":
        pytest.skip("abstract names are Linux's own")
    monkeypatch.setattr("smartgrid_cli.machine.tcp_ports.sys.platform", request.param)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.usefixtures("platform")
def test_two_machines_that_start_together_choose_different_ports():
    first, second, wish = Reservations(), Reservations(), {"dagster": free_port()}
    assert choose_ports(wish, free=first.take) == (wish, [])
    granted, moved = choose_ports(wish, free=second.take)
    assert granted["dagster"] > wish["dagster"]
    assert len(moved) == 1
    first.release()
    assert second.take(wish["dagster"])
    second.release()


@pytest.mark.usefixtures("platform")
def test_a_port_that_somebody_listens_at_is_not_reserved():
    reservations = Reservations()
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not reservations.take(server.getsockname()[1])


def test_a_reservation_ends_with_its_process():
    port, reservations = free_port(), Reservations()
    program = (
        "import sys, time\n"
        "from smartgrid_cli.machine.tcp_ports import Reservations\n"
        "reservations = Reservations()\n"
        "print(reservations.take(int(sys.argv[1])), flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert not reservations.take(port)
        process.kill()
    assert reservations.take(port)
    reservations.release()


def test_what_a_machine_of_long_ago_left_in_the_common_folder_keeps_no_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    port, reservations = free_port(), Reservations()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"smartgrid-port-{port}.lock").mkdir(mode=0)
    assert reservations.take(port)
    reservations.release()
