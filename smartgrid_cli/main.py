"""The `smartgrid` command: what can be asked for, and with which options."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from smartgrid_cli.home import Home
from smartgrid_core.errors import SmartGridError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The system an electricity distribution company runs its data on.",
)
console = Console(highlight=False, soft_wrap=True)


@app.command()
def up() -> None:
    """Start everything and stay until Ctrl-C."""
    from smartgrid_cli.show import show_addresses
    from smartgrid_cli.up import running, stay

    with running(_home(), say=_say) as machine:
        machine.supervisor.wait()
        show_addresses(machine.addresses, console)
        console.print("Ctrl-C stops everything.")
        stay(machine)
    _fail("; ".join(machine.supervisor.given_up))


@app.command()
def down(
    *,
    remove_state: Annotated[
        bool, typer.Option("--remove-state", help="Remove the home folder, too.")
    ] = False,
) -> None:
    """Stop what runs, wherever it was started."""
    from smartgrid_cli.up import bring_down

    bring_down(_home(make=False), say=_say, remove_state=remove_state)


@app.command()
def status() -> None:
    """Show processes, addresses and rows per table."""
    from smartgrid_cli.status import show_status

    if not show_status(_home(make=False), console):
        raise typer.Exit(1)


def run() -> None:
    """The command line's entry: our own errors are a sentence and exit code 1."""
    from smartgrid_cli.up import Stopped

    try:
        app()
    except SmartGridError as error:
        console.print(f"[red]smartgrid:[/red] {error}")
        sys.exit(1)
    except Stopped:
        sys.exit(130)


def _home(*, make: bool = True) -> Home:
    """The home folder that the settings name."""
    from smartgrid_core.settings import Settings

    home = Home(Settings().home.expanduser().resolve())
    return home.make() if make else home


def _say(sentence: str) -> None:
    console.print(f"[dim]{sentence}[/dim]")


def _fail(sentence: str) -> None:
    console.print(f"[red]smartgrid:[/red] {sentence}")
    raise typer.Exit(1)
