"""The `smartgrid` command: what can be asked for, and with which options."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from smartgrid_cli.commands.anomalies import anomalies
from smartgrid_cli.commands.backtest import backtest
from smartgrid_cli.commands.demo_state import FEWEST_DAYS
from smartgrid_cli.machine.home import Home
from smartgrid_core.errors import SmartGridError
from smartgrid_core.rollout.labels import LOAD_FORECASTER

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The system an electricity distribution company runs its data on.",
)
app.command()(backtest)
app.command()(anomalies)
console = Console(highlight=False, soft_wrap=True)
if not console.is_terminal:
    console.width = 120


def _show_version(wanted: bool) -> None:
    if wanted:
        from smartgrid_cli.display.version import describe_version

        console.print(describe_version())
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, help="Show version and commit."),
    ] = False,
) -> None:
    """Run what an electricity distribution company's data needs, on one machine."""


@app.command()
def up() -> None:
    """Start everything and stay until Ctrl-C."""
    from smartgrid_cli.commands.demo_state import DemoState
    from smartgrid_cli.commands.up import run_machine, stay_up
    from smartgrid_cli.display.tables import show_addresses

    home = _open_home()
    plan = DemoState(home).plan
    with run_machine(home, say=_say, overrides=plan.environment if plan else None) as machine:
        machine.supervisor.wait()
        show_addresses(machine.addresses, console)
        console.print("Ctrl-C stops everything.")
        stay_up(machine)
    _fail("; ".join(machine.supervisor.given_up))


@app.command()
def down(
    *,
    remove_state: Annotated[
        bool, typer.Option("--remove-state", help="Remove the home folder, too.")
    ] = False,
) -> None:
    """Stop what runs, wherever it was started."""
    from smartgrid_cli.commands.up import bring_down

    bring_down(_open_home(make=False), say=_say, remove_state=remove_state)


@app.command()
def status() -> None:
    """Show processes, addresses and rows per table."""
    from smartgrid_cli.commands.status import show_status

    if not show_status(_open_home(make=False), console):
        raise typer.Exit(1)


@app.command()
def digest(
    *,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the digests to this JSON file.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Say what differs from this JSON file."),
    ] = None,
    all_columns: Annotated[
        bool,
        typer.Option("--all-columns", help="Count when and by which run rows were written, too."),
    ] = False,
) -> None:
    """Show a digest of every table; equal rows have equal digests, whenever they were written."""
    from smartgrid_cli.commands.digest import show_digest

    if not show_digest(
        _open_home(make=False), console, out=out, against=against, all_columns=all_columns
    ):
        raise typer.Exit(1)


@app.command()
def demo(
    *,
    days: Annotated[
        int | None,
        typer.Option(min=FEWEST_DAYS, help="UTC days of readings; 60, or what the home holds."),
    ] = None,
    leave: Annotated[
        bool, typer.Option("--exit", help="End when everything is shown, not at Ctrl-C.")
    ] = False,
    end: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The readings end where this UTC day begins."),
    ] = None,
) -> None:
    """Walk the demo grid's readings through the whole graph and show what happened."""
    from smartgrid_cli.commands.demo import run_demo

    run_demo(
        _open_home(),
        days=days,
        end=None if end is None else end.date(),
        today=datetime.now(tz=UTC).date(),
        stays=not leave,
        console=console,
    )


@app.command()
def land(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True)],
    *,
    again: Annotated[
        bool,
        typer.Option("--again", help="Land once more what was landed before a setting was mended."),
    ] = False,
) -> None:
    """Load files of readings, weather or topology into the database that runs here."""
    from smartgrid_cli.commands.land import land_here

    if not land_here(_open_home(make=False), files, console, again=again):
        raise typer.Exit(1)


@app.command()
def insights(
    *,
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Of the readings up to this day; the newest."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write it here, .html or .md, instead of showing it.")
    ] = None,
) -> None:
    """Show what an operator should know: whom to inspect, anomalies, rules, kinds of consumers."""
    from smartgrid_cli.commands.insights import show_insights

    show_insights(_open_home(make=False), console, day=day.date() if day else None, out=out)


@app.command()
def rollback(
    *,
    to: Annotated[
        int | None, typer.Option(min=1, help="This version; the one that was stable before.")
    ] = None,
    model: Annotated[str, typer.Option(help="The registered model.")] = LOAD_FORECASTER,
    reason: Annotated[str, typer.Option(help="For the record.")] = "by hand",
) -> None:
    """Take back what was done last with a model: its canary, or else its stable version."""
    from smartgrid_cli.commands.rollout import roll_back_here

    if not roll_back_here(_open_home(make=False), console, model=model, to=to, reason=reason):
        raise typer.Exit(1)


@app.command()
def promote(
    *,
    model: Annotated[str, typer.Option(help="The registered model.")] = LOAD_FORECASTER,
    reason: Annotated[str, typer.Option(help="For the record.")] = "by hand",
) -> None:
    """Make a model's canary its stable version."""
    from smartgrid_cli.commands.rollout import promote_here

    if not promote_here(_open_home(make=False), console, model=model, reason=reason):
        raise typer.Exit(1)


@app.command()
def ab(
    *,
    canary_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of the feeders, 0 to 1.")
    ] = None,
    salt: Annotated[
        str | None, typer.Option(help="Another one deals the feeders to the variants anew.")
    ] = None,
    model: Annotated[str, typer.Option(help="The registered model.")] = LOAD_FORECASTER,
) -> None:
    """Show or change which share of the feeders a model's canary answers, from the next batch."""
    from smartgrid_cli.commands.rollout import split_here

    split_here(_open_home(make=False), console, model=model, canary_share=canary_share, salt=salt)


@app.command()
def migrate() -> None:
    """Bring the tables of SMARTGRID_DATABASE_URL up to date."""
    from smartgrid_core.settings import Settings
    from smartgrid_io.postgres.schema import upgrade_tables

    url = Settings().database_url
    if url is None:
        _fail("SMARTGRID_DATABASE_URL is not set: postgresql://user:password@host:5432/smartgrid")
    else:
        upgrade_tables(url.get_secret_value())


def run() -> None:
    """The command line's entry: our own errors, and the machine's, are a sentence and exit 1."""
    from smartgrid_cli.display.failures import explain_failure
    from smartgrid_cli.machine.signals import Stopped

    try:
        app()
    except SmartGridError as error:
        console.print(f"[red]smartgrid:[/red] {error}")
        sys.exit(1)
    except Stopped:
        sys.exit(130)
    except Exception as error:
        sentence = explain_failure(error)
        if sentence is None:
            raise
        console.print("smartgrid:", style="red", end=" ")
        console.print(sentence, markup=False)
        sys.exit(1)


def _open_home(*, make: bool = True) -> Home:
    """The home folder that the settings name."""
    from smartgrid_core.settings import Settings

    home = Home(Settings().home.expanduser().resolve())
    home.refuse_file()
    return home.make() if make else home


def _say(sentence: str) -> None:
    console.print(f"[dim]{sentence}[/dim]")


def _fail(sentence: str) -> None:
    console.print(f"[red]smartgrid:[/red] {sentence}")
    raise typer.Exit(1)
