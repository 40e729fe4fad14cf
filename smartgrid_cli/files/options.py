"""What the commands on anyone's file share: how they talk, and options that mean the same."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from smartgrid_cli.files.durations import divides_a_day, parse_duration
from smartgrid_core.errors import ConfigurationError

Teller = Callable[[str], None]

console = Console(highlight=False, soft_wrap=True)


def parse_zone(name: str) -> str:
    """Return a known time zone. Raises ConfigurationError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(f"--timezone {name!r}: write one such as Europe/London") from error
    return name


def parse_step(text: str) -> timedelta:
    """Return a step that divides a day. Raises ConfigurationError."""
    step = parse_duration(text, option="--step")
    if not divides_a_day(step):
        raise ConfigurationError(f"--step {text!r} does not divide a day; write 15min, 30min or 1h")
    return step


@contextmanager
def show_progress() -> Iterator[Teller]:
    """Show a spinner with what is being done and for how long; yields what changes its text."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str) -> None:
            bar.update(task, description=what)
            if not console.is_terminal:
                console.print(escape(what))

        yield tell
