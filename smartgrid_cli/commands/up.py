"""`smartgrid up` and `smartgrid down`: everything runs while the command does, and only then."""

import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import psutil

from smartgrid_cli.machine.child_process import remove_leftovers
from smartgrid_cli.machine.databases import open_databases
from smartgrid_cli.machine.home import Home
from smartgrid_cli.machine.image_child import CODE_MODULE, find_image_socket, make_image_child
from smartgrid_cli.machine.processes import Machine, build_machine
from smartgrid_cli.machine.signals import ignore_signals, raise_on_signals
from smartgrid_cli.machine.tcp_ports import MovedPort, Reservations, choose_ports
from smartgrid_core.settings import Ports, Settings
from smartgrid_io.postgres.embedded import EmbeddedPostgres

Say = Callable[[str], None]


@contextmanager
def run_machine(
    home: Home,
    *,
    say: Say,
    overrides: Mapping[str, str] | None = None,
    held: Collection[str] = (),
    code_module: str = CODE_MODULE,
) -> Iterator[Machine]:
    """Hold the home, begin to start everything, keep it running, stop it in order at the end.

    Only the database answers when the block begins: `machine.supervisor.wait()` for the others.

    Args:
        home: The home folder, which one machine holds at a time.
        say: Called with what happens, for people.
        overrides: Further environment variables of all processes.
        held: Names of the processes that wait for their release.
        code_module: Module of the definitions that Dagster loads.

    Yields:
        The machine, whose other processes are being started.

    Raises:
        HomeInUseError: If another process holds the home.
        ServerError: If the database does not start.
    """
    settings, ports = Settings(home=home.root), Ports()
    with home.hold(), raise_on_signals(), ExitStack() as stack:
        ended = remove_leftovers(home, keep=("postgres",))
        if ended:
            say(f"ended {ended} processes that an earlier run left behind")
        image = make_image_child(home, code_module=code_module, overrides=overrides or {})
        stack.callback(find_image_socket(home).unlink, missing_ok=True)
        stack.callback(image.stop)
        image.start()
        # While the image imports: Dagster and this take seconds, side by side.
        from smartgrid_io.postgres.schema import upgrade_tables

        reservations = Reservations()
        stack.callback(reservations.release)
        kept = EmbeddedPostgres(home.root)
        moved: list[MovedPort] = []
        if kept.is_running:
            port = kept.port
        else:
            granted, moved = choose_ports({"postgres": ports.postgres}, free=reservations.take)
            port = granted["postgres"]
        databases = open_databases(settings, home=home, port=port)
        try:
            upgrade_tables(databases.product)
            machine = build_machine(
                settings,
                ports,
                reserve=reservations.take,
                home=home,
                databases=databases,
                image=image,
                say=say,
                code_module=code_module,
                held=held,
                overrides=overrides,
            )
            for move in (*moved, *machine.moved):
                say(str(move))
            home.publish_addresses(machine.addresses, overrides=dict(overrides or {}))
            try:
                machine.supervisor.start()
                yield machine
            finally:
                with ignore_signals():
                    say("stopping ...")
                    machine.supervisor.stop()
        finally:
            if databases.server is not None:
                databases.server.stop()


def stay_up(machine: Machine) -> None:
    """Wait until a process is given up for good; a signal raises Stopped."""
    forever = threading.Event()
    while not machine.supervisor.given_up:
        forever.wait(1.0)


def bring_down(home: Home, *, say: Say, remove_state: bool) -> None:
    """Stop whatever runs for the home, wherever it was started; then remove the home if asked."""
    if not (home.root / "home.json").exists():
        say(f"{home.root} holds no state")
        return
    holder = home.read_up_note()
    if holder is not None:
        say(f"stopping process {holder['pid']}")
        psutil.Process(holder["pid"]).terminate()
        if not home.wait_until_free(seconds=90):
            psutil.Process(holder["pid"]).kill()
    ended = remove_leftovers(home, keep=("postgres",))
    EmbeddedPostgres(home.root).stop()
    remove_leftovers(home)
    if ended:
        say(f"ended {ended} processes that an earlier run left behind")
    if remove_state:
        shutil.rmtree(home.root)
        say(f"removed {home.root}")
