import threading
from dataclasses import dataclass, field

import pytest

from smartgrid_cli.machine.supervisor import MOST_DEATHS, Service, Supervisor
from smartgrid_core.errors import ServerError


@dataclass
class FakeChild:
    """Alive from its start to its death; ready as long as it is alive."""

    name: str
    diary: list[str]
    alive: bool = False
    breaks_at_start: bool = False
    pid: int | None = field(default=None)

    def start(self) -> None:
        self.diary.append(f"start {self.name}")
        if self.breaks_at_start:
            raise OSError("no such program")
        self.alive = True

    def is_alive(self) -> bool:
        return self.alive

    def is_ready(self) -> bool:
        return self.alive

    def stop(self) -> None:
        self.diary.append(f"stop {self.name}")
        self.alive = False

    def explain_end(self) -> str:
        return f"{self.name} was killed by SIGKILL"


def database_and_its_users(diary: list[str]) -> list[Service]:
    return [
        Service(FakeChild("database", diary)),
        Service(FakeChild("pages", diary)),
        Service(FakeChild("code", diary), needs=["database"]),
        Service(FakeChild("daemon", diary), needs=["code"]),
    ]


def steps(supervisor: Supervisor, *moments: float) -> None:
    for moment in moments:
        supervisor._step(moment)


def test_who_needs_others_starts_after_them_and_stops_before_them():
    diary: list[str] = []
    supervisor = Supervisor.of(*database_and_its_users(diary), say=diary.append)
    supervisor.start()
    supervisor.wait(seconds=10)
    supervisor.stop()
    assert diary.index("start database") < diary.index("start code") < diary.index("start daemon")
    assert diary[-4:] == ["stop daemon", "stop code", "stop pages", "stop database"]


def test_who_dies_is_started_again_ever_more_slowly():
    diary: list[str] = []
    supervisor = Supervisor.of(Service(FakeChild("pages", diary)), say=diary.append)
    child = supervisor.services["pages"].child
    steps(supervisor, 0.0, 0.1)
    child.alive = False
    steps(supervisor, 1.0, 1.1, 1.2, 1.3)
    child.alive = False
    steps(supervisor, 3.0, 3.3, 3.5, 3.6)
    assert diary == [
        "start pages",
        "pages was killed by SIGKILL. Starting it again in 0.2 s",
        "start pages",
        "pages is back",
        "pages was killed by SIGKILL. Starting it again in 0.4 s",
        "start pages",
        "pages is back",
    ]


def test_who_lived_long_is_forgiven_its_deaths():
    diary: list[str] = []
    supervisor = Supervisor.of(Service(FakeChild("pages", diary)), say=diary.append)
    service = supervisor.services["pages"]
    steps(supervisor, 0.0, 0.1)
    service.child.alive = False
    steps(supervisor, 1.0, 2.0, 2.1, 63.0)
    assert service.deaths == 0


def test_who_never_starts_is_given_up_and_named():
    diary: list[str] = []
    supervisor = Supervisor.of(
        Service(FakeChild("pages", diary, breaks_at_start=True)), say=lambda _: None
    )
    steps(supervisor, *(n * 31.0 for n in range(MOST_DEATHS + 1)))
    assert supervisor.given_up == ["pages cannot be started: no such program"]
    with pytest.raises(ServerError, match="no such program"):
        supervisor.wait(seconds=1)


def test_who_needs_a_database_that_died_is_left_alone_and_reconnects_by_itself():
    diary: list[str] = []
    supervisor = Supervisor.of(*database_and_its_users(diary), say=lambda _: None)
    steps(supervisor, 0.0, 0.1, 0.2, 0.3, 0.4)
    diary.clear()
    supervisor.services["database"].child.alive = False
    steps(supervisor, 1.0, 1.5, 2.0, 2.1, 2.2, 2.3, 2.4)
    assert diary == ["start database"]
    assert {service.state for service in supervisor.services.values()} == {"ready"}


def test_who_is_held_back_starts_when_released():
    diary: list[str] = []
    services = database_and_its_users(diary)
    services[-1].state = "held"
    supervisor = Supervisor.of(*services, say=diary.append)
    steps(supervisor, 0.0, 0.1, 0.2, 0.3, 0.4)
    assert "start daemon" not in diary
    supervisor.release("daemon")
    steps(supervisor, 1.0, 1.1)
    assert supervisor.services["daemon"].state == "ready"


def test_the_thread_that_starts_children_outlives_them():
    threads: list[str] = []

    class Watched(FakeChild):
        def start(self) -> None:
            threads.append(threading.current_thread().name)
            super().start()

        def stop(self) -> None:
            threads.append(threading.current_thread().name)
            super().stop()

    supervisor = Supervisor.of(Service(Watched("pages", [])), say=lambda _: None)
    supervisor.start()
    supervisor.wait(seconds=10)
    supervisor.stop()
    assert threads == ["supervisor", "supervisor"]


def test_a_need_that_comes_later_is_refused():
    with pytest.raises(ValueError, match=r"code needs \['database'\]"):
        Supervisor.of(Service(FakeChild("code", []), needs=["database"]), say=print)


def test_housekeeping_goes_on_while_all_is_well():
    seen = threading.Event()
    supervisor = Supervisor.of(Service(FakeChild("pages", [])), say=lambda _: None)
    supervisor.housekeeping = seen.set
    supervisor.start()
    assert seen.wait(5)
    supervisor.stop()
    assert supervisor.services["pages"].state == "stopped"


def test_failing_housekeeping_is_said_once_and_harms_no_child():
    said: list[str] = []
    supervisor = Supervisor.of(Service(FakeChild("database", [])), say=said.append)

    def full_disk() -> None:
        raise OSError("no space left")

    supervisor.housekeeping = full_disk
    supervisor.start()
    supervisor.wait(seconds=5)
    supervisor.wait(seconds=5)
    assert supervisor.services["database"].state == "ready"
    supervisor.stop()
    assert said.count("housekeeping failed and goes on: no space left") == 1
