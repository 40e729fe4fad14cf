"""What the commands on anyone's file share: how they talk, and options that mean the same."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TimeElapsedColumn
from rich.text import Text

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


class _SentenceColumn(ProgressColumn):
    """What the task's field `say` returns, asked again whenever the line is drawn."""

    def render(self, task: Task) -> Text:
        """Return the sentence, without markup: it may hold names from a file."""
        return Text(task.fields["say"]())


class ProgressLine:
    """The line of a terminal that says what is being done; elsewhere a line per sentence."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, say=lambda: "")

    def __call__(self, what: str) -> None:
        """Say what is being done."""
        self.follow(lambda: what)

    def follow(self, say: Callable[[], str]) -> None:
        """Say what changes while nothing is reported, such as seconds that are left."""
        self._bar.update(self._task, say=say)
        if not console.is_terminal:
            console.print(escape(say()))

    def keep(self, what: str) -> None:
        """Say what shall still be read afterwards."""
        if console.is_terminal:
            console.print(escape(what))
        else:
            self(what)


@contextmanager
def show_progress() -> Iterator[ProgressLine]:
    """Show a spinner with what is being done and for how long; yields what changes its text."""
    columns = (SpinnerColumn(), _SentenceColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield ProgressLine(bar)
