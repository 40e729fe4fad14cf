"""How waiting looks: live lines in a terminal, a line per event in a log file."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from smartgrid_cli.dagster_api.records import Run, Step

SIGN_OF_LIFE_S = 30.0
"""Where lines cannot be rewritten, a long silence is broken so often."""
MANY = 1000
"""Parts that nobody counts are shown in percent."""
MARKS = {"SUCCESS": "[green]done[/green]", "FAILURE": "[red]FAILED[/red]", "SKIPPED": "skipped"}


class ProgressDisplay:
    """Shows runs and their steps; a context manager, so that the terminal is given back."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._reported: set[tuple[str, str, str]] = set()
        self._last_word = time.monotonic()
        self._note = ""

    def __enter__(self) -> "ProgressDisplay":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def say(self, sentence: str) -> None:
        """Print a line that stays."""
        self._console.print(sentence)
        self._last_word = time.monotonic()

    def keep(self, sentence: str) -> None:
        """Print a line that stays; the sentence comes from outside and is plain text."""
        self.say(escape(sentence))

    def show_count(self, what: str, done: int, of: int) -> None:
        """Show that `done` of `of` parts of something are through."""
        part = f"{100 * done // of} %" if of > MANY else f"{done}/{of}"
        if self._console.is_terminal:
            self._show(f"  {what} {part}")
        elif time.monotonic() - self._last_word > SIGN_OF_LIFE_S / 3:
            self.say(f"  ... {what} {part}")

    def show_runs(self, runs: Sequence[tuple[Run, Sequence[Step]]], note: str) -> None:
        """Show the runs that are under way, with the steps that have begun."""
        for run, steps in runs:
            for step in steps:
                self._say_once(run, step)
        if self._console.is_terminal:
            self._show(_build_picture(runs, note))
        elif time.monotonic() - self._last_word > SIGN_OF_LIFE_S or note != self._note:
            words = [_describe_run(run, steps) for run, steps in runs]
            if words or note:
                self.say("  ... " + "; ".join([*words, *([note] if note else [])]))
        self._note = note

    def clear(self) -> None:
        """Show that nothing is under way any more."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, picture: RenderableType) -> None:
        if self._live is None:
            self._live = Live(console=self._console, transient=True, refresh_per_second=4)
            self._live.start()
        self._live.update(picture)

    def _say_once(self, run: Run, step: Step) -> None:
        fact = (run.run_id, step.name, step.status)
        if step.status not in MARKS or fact in self._reported:
            return
        self._reported.add(fact)
        took = f"{step.ended - step.started:6.1f} s" if step.started and step.ended else ""
        self.say(f"  {step.name:<26} {run.days:<24} {MARKS[step.status]} {took}")


def _describe_run(run: Run, steps: Sequence[Step]) -> str:
    """Return in one line, as markup, how far a run is: what its steps say, or else its status."""
    abouts = [f"{step.name} {escape(step.about)}" for step in steps if step.about]
    name = " ".join(part for part in (run.title, run.days) if part)
    return f"{name}: {', '.join(abouts)}" if abouts else f"{name} {run.status.lower()}"


def _build_picture(runs: Sequence[tuple[Run, Sequence[Step]]], note: str) -> Group:
    """Return what is under way now; what has ended has a line above already."""
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 2))
    now = time.time()
    abouts: list[Text] = []
    for run, steps in runs:
        busy = [step for step in steps if step.status not in MARKS]
        for step in busy:
            since = f"{now - step.started:6.1f} s" if step.started else ""
            grid.add_row(step.name, run.days, "[yellow]running[/yellow]", since)
            if step.about:
                abouts.append(Text(f"  {step.name} {step.about}", style="dim", no_wrap=True))
        if not busy:
            grid.add_row(
                run.title,
                run.days,
                f"[dim]{run.status.lower()}[/dim]",
                f"{now - run.created:6.1f} s",
            )
    if note:
        grid.add_row(f"[dim]{note}[/dim]", "", "", "")
    # Below the table: a sentence in it would push its columns apart.
    return Group(grid, *abouts)
