"""`smartgrid land`: files into the warehouse, with a report of each."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from smartgrid_cli.commands.status import read_local_settings
from smartgrid_cli.display.progress import ProgressDisplay
from smartgrid_cli.display.store_queries import Stores
from smartgrid_cli.machine.home import Home
from smartgrid_core.errors import LandingError
from smartgrid_io.landing.land import land_file
from smartgrid_io.landing.layout import LandingLayout
from smartgrid_io.landing.report import LandingReport


def land_files(
    files: Iterable[Path],
    *,
    stores: Stores,
    progress: Callable[[str, int, int], None],
    again: bool = False,
) -> Iterator[LandingReport]:
    """Land the files one after the other and yield a report of each.

    A file that cannot be read gives a report, too, and stops no other.

    Args:
        files: Files of readings, weather or topology.
        stores: Where the rows go.
        progress: Called with the file's name, bytes done, and bytes in all.
        again: Whether content that was landed before is landed once more.
    """
    layout = LandingLayout.from_settings(stores.settings)
    for file in files:
        try:
            yield land_file(
                file,
                warehouse=stores.warehouse,
                layout=layout,
                now=datetime.now(tz=UTC),
                again=again,
                progress=progress,
            )
        except LandingError as error:
            yield LandingReport(file.name, "", "refused", message=str(error))


def land_here(home: Home, files: list[Path], console: Console, *, again: bool = False) -> bool:
    """Land the files into the database that runs here and print the reports.

    Args:
        home: The home folder of the running machine.
        files: Files of readings, weather or topology.
        console: Where progress and reports are printed.
        again: Whether content that was landed before is landed once more.

    Returns:
        Whether every file was of use.

    Raises:
        ConfigurationError: If no database runs.
    """
    stores = Stores.open(read_local_settings(home))
    usable = True
    with ProgressDisplay(console) as progress:
        for report in land_files(files, stores=stores, progress=progress.show_count, again=again):
            progress.clear()
            progress.say(describe_report(report))
            usable &= report.status != "growing" and not report.is_refused_whole
    return usable


def describe_report(report: LandingReport) -> str:
    """Return a report as a line of console markup."""
    name = escape(report.source)
    once_more = f"mend that, then `smartgrid land --again {name}`"
    match report.status:
        case "already_landed" if report.dataset == "unknown":
            return f"[red]{name}: refused before[/red]: {escape(report.message or '')}; {once_more}"
        case "already_landed" if report.rows_refused:
            return (
                f"{name}: landed before, when {report.rows_refused:,} of {report.rows_read:,} rows "
                f"were refused{_describe_refusals(report)}; {once_more}"
            )
        case "already_landed":
            return f"{name}: landed before{_describe_other_name(report)}, nothing to do"
        case "refused" | "growing":
            return f"[red]{name}: {report.status}[/red]: {escape(report.message or '')}"
        case _:
            counts = (
                f"{report.rows_read:,} rows into {report.dataset}: {report.rows_new:,} new, "
                f"{report.rows_changed:,} changed, {report.rows_repeated:,} repeated, "
                f"{report.rows_refused:,} refused"
            )
            removed = f", {report.rows_removed:,} left out and removed" * (report.rows_removed > 0)
            line = (
                f"{name}: {counts}{removed}; {len(report.days)} days "
                f"touched{_describe_refusals(report)}"
            )
            return f"[red]{line}[/red]" if report.is_refused_whole else line


def _describe_other_name(report: LandingReport) -> str:
    """Return under which other name the content was landed; nothing for its own."""
    is_other = report.landed_as not in (None, report.source)
    return f" as {escape(report.landed_as or '')}" if is_other else ""


def _describe_refusals(report: LandingReport) -> str:
    """Return the most frequent refusals, each with what to do about it."""
    return "".join(
        f"; {refusal.reason} ({refusal.rows:,}): {escape(refusal.message)}"
        for refusal in report.refusals
    )
