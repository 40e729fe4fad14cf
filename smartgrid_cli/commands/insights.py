"""`smartgrid insights`: a page of insights, in the terminal or as a file to forward."""

import re
from datetime import UTC, date, datetime, timedelta
from html import escape
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.markdown import Markdown

from smartgrid_cli.commands.status import read_local_settings
from smartgrid_cli.display.store_queries import Stores
from smartgrid_cli.machine.home import Home
from smartgrid_core.contracts.insights import InsightPages
from smartgrid_core.errors import SmartGridError
from smartgrid_core.time import Window

PICTURE = re.compile(r"^!\[([^]]*)\]\(data:[^)]*\)$", re.MULTILINE)
"""A picture within the page; no terminal shows it."""

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733}"
    "img{max-width:100%}li{margin:.4rem 0}h2{border-bottom:1px solid #d0d7de;margin-top:2rem}"
)


SHOWN_PAST = timedelta(days=31)
"""A page is some hundred kilobytes: older ones are read only if there is none since."""


class NoPageError(SmartGridError):
    """There is no page to show; the text says how to get one."""


def show_insights(home: Home, console: Console, *, day: date | None, out: Path | None) -> None:
    """Print the insights page of a day, or write it to a file.

    Args:
        home: The home folder of the running machine.
        console: Where the page, or the file's name, is printed.
        day: Last UTC day of the readings behind the page; None for the newest.
        out: File to write, .html or .md; None prints the page.

    Raises:
        NoPageError: If there is no page of that day.
    """
    warehouse = Stores.open(read_local_settings(home)).warehouse
    until = day or datetime.now(UTC).date()
    pages = warehouse.read(InsightPages, window=Window.of_days(until - SHOWN_PAST, until))
    if pages.is_empty():
        pages = warehouse.read(InsightPages)
    page = select_page(pages, day=day)
    if out is None:
        console.print(Markdown(PICTURE.sub(r"*(picture: \1)*", page)))
        return
    if out.suffix.lower() not in (".html", ".md"):
        raise NoPageError(f"{out}: a page is written as .html or .md; name such a file")
    scratch = out.with_name(f".{out.name}.part")
    scratch.write_text(as_html(page) if out.suffix.lower() == ".html" else page)
    scratch.replace(out)
    console.print(f"Written to {out}")


def show_standing(pages: pl.DataFrame, console: Console) -> None:
    """Print the head of the newest page, which sums up, if there is one; rows of `InsightPages`."""
    if pages.height:
        head = select_page(pages, day=None).split("\n## ", maxsplit=1)[0]
        console.print(Markdown(head))
        console.print("`smartgrid insights --out insights.html` writes the whole page.")


def select_page(pages: pl.DataFrame, *, day: date | None) -> str:
    """Return the page of the day, the newest for None, out of rows of `InsightPages`.

    Raises NoPageError if there is none.
    """
    if pages.is_empty():
        raise NoPageError("no insights yet: run the job mine_grid in Dagster, or `make demo`")
    if day is None:
        return str(pages.sort("day")["markdown"][-1])
    found = pages.filter(pl.col("day") == day)
    if found.is_empty():
        days = ", ".join(str(one) for one in pages["day"].sort().tail(5))
        raise NoPageError(f"no page of {day}; the last ones are of {days}")
    return str(found["markdown"].item())


def as_html(page: str) -> str:
    """Return the page as one HTML file that needs no other file."""
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False})
    # Its own list of allowed links leaves out pictures within the page; its manual replaces it so.
    renderer.validateLink = _is_allowed_link  # type: ignore[method-assign]
    title = escape(page.splitlines()[0].lstrip("# "))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>{renderer.render(page)}</body></html>\n"
    )


def _is_allowed_link(url: str) -> bool:
    return url.startswith(("http", "/", "data:image/"))
