"""The page of insights: what was mined, in the words and the order that an operator needs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from smartgrid_core.contracts.insights import SECTIONS, InsightPages, Insights

HEADINGS = {
    "inspections": "To inspect",
    "anomalies": "Anomalies",
    "rules": "What goes together",
    "segments": "Kinds of consumers",
}
"""Of the sections, as people read them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The rows of a table on which an insight rests."""

    table: str
    """The name of the table and of the asset that made it."""
    key: Mapping[str, Any]
    """Values of columns that the rows have."""
    partition: date | None = None
    """Their UTC day; None for a table that is kept whole."""

    def build_link(self, ui: str) -> str:
        """Return where Dagster at `ui` shows the asset; "" is the page's own Dagster."""
        day = "" if self.partition is None else f"?partition={self.partition}"
        return f"{ui.rstrip('/')}/assets/{self.table}{day}"


@dataclass(frozen=True, slots=True)
class Insight:
    """One thing to know."""

    title: str
    """Names it."""
    sentence: str
    """What it is, how much, and why it matters."""
    evidence: Evidence
    """The rows on which it rests."""
    subject_id: str | None = None
    """The meter, node, feeder or segment that it is about."""
    figure: float | None = None
    """How much, in `unit`."""
    unit: str | None = None
    """Of the figure, in words."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page."""

    name: str
    """One of SECTIONS."""
    lead: str
    """A sentence about how things stand, even if there is nothing to list."""
    insights: Sequence[Insight] = ()
    """The most pressing first."""
    pictures: Sequence[str] = field(default_factory=tuple)
    """Markdown images."""


def build_insight_rows(day: date, sections: Sequence[Section]) -> pl.DataFrame:
    """Return rows of `Insights` of a day, one per insight of the sections."""
    rows = [
        {
            "day": day,
            "section": section.name,
            "position": position,
            "subject_id": insight.subject_id,
            "title": insight.title,
            "sentence": insight.sentence,
            "figure": insight.figure,
            "unit": insight.unit,
            "evidence_table": insight.evidence.table,
            "evidence_partition": insight.evidence.partition,
            "evidence_key": json.dumps(insight.evidence.key, sort_keys=True, default=str),
        }
        for section in sections
        for position, insight in enumerate(section.insights, start=1)
    ]
    schema = Insights.create_empty().schema
    return Insights.validate(pl.DataFrame(rows, schema=schema), cast=True)


def build_page_rows(day: date, markdown: str) -> pl.DataFrame:
    """Return the one row of `InsightPages` of a day."""
    return InsightPages.validate(pl.DataFrame({"day": [day], "markdown": [markdown]}), cast=True)


def render_page(day: date, sections: Sequence[Section], *, ui: str = "") -> str:
    """Return the whole page: how things stand, then each section with its list and pictures.

    ``ui``: the address of Dagster, for links that work wherever the page is forwarded to.
    """
    ordered = sorted(sections, key=lambda section: SECTIONS.index(section.name))
    lines = [f"# The grid up to {day:%A}, {day.day} {day:%B %Y}", ""]
    lines += [f"- **{HEADINGS[section.name]}:** {section.lead}" for section in ordered]
    for section in ordered:
        lines += ["", f"## {HEADINGS[section.name]}", ""]
        lines += [
            f"{place}. **{_escape_markdown(insight.title)}** {_escape_markdown(insight.sentence)} "
            f"[Evidence]({insight.evidence.build_link(ui)})"
            for place, insight in enumerate(section.insights, start=1)
        ] or [section.lead]
        for picture in section.pictures:
            lines += ["", picture]
    return "\n".join([*lines, ""])


def _escape_markdown(text: str) -> str:
    """Return text whose signs mean themselves within Markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in text)
