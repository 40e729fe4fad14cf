import socket
from pathlib import Path

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


def test_two_machines_that_start_together_choose_different_ports(tmp_path: Path):
    first, second, wish = Reservations(tmp_path), Reservations(tmp_path), {"dagster": free_port()}
    assert choose_ports(wish, free=first.take) == (wish, [])
    granted, moved = choose_ports(wish, free=second.take)
    assert granted["dagster"] > wish["dagster"]
    assert len(moved) == 1
    first.release()
    assert second.take(wish["dagster"])
    second.release()


def test_a_port_that_somebody_listens_at_is_not_reserved(tmp_path: Path):
    reservations = Reservations(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not reservations.take(server.getsockname()[1])
