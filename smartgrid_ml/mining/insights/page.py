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


@dataclass(frozen=True, slots=True)
class Evidence:
    """The rows of a table on which something rests: those that agree with `key`."""

    table: str
    key: Mapping[str, Any]
    partition: date | None = None

    def link(self, ui: str) -> str:
        """Where Dagster at `ui` shows the asset that made them; "" is the page's own Dagster."""
        day = "" if self.partition is None else f"?partition={self.partition}"
        return f"{ui.rstrip('/')}/assets/{self.table}{day}"


@dataclass(frozen=True, slots=True)
class Insight:
    """One thing to know. `title` names it, `sentence` says what, how much and why it matters."""

    title: str
    sentence: str
    evidence: Evidence
    subject_id: str | None = None
    figure: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: `lead` says how things stand, even if there is nothing to list."""

    name: str
    lead: str
    insights: Sequence[Insight] = ()
    pictures: Sequence[str] = field(default_factory=tuple)
    """Markdown images."""


def build_insight_rows(day: date, sections: Sequence[Section]) -> pl.DataFrame:
    """Rows of `Insights`."""
    rows = [
        {
            "day": day,
            "section": section.name,
            "position": position,
            "subject_id": each.subject_id,
            "title": each.title,
            "sentence": each.sentence,
            "figure": each.figure,
            "unit": each.unit,
            "evidence_table": each.evidence.table,
            "evidence_partition": each.evidence.partition,
            "evidence_key": json.dumps(each.evidence.key, sort_keys=True, default=str),
        }
        for section in sections
        for position, each in enumerate(section.insights, start=1)
    ]
    schema = Insights.create_empty().schema
    return Insights.validate(pl.DataFrame(rows, schema=schema), cast=True)


def build_page_rows(day: date, markdown: str) -> pl.DataFrame:
    """The one row of `InsightPages`."""
    return InsightPages.validate(pl.DataFrame({"day": [day], "markdown": [markdown]}), cast=True)


def render_page(day: date, sections: Sequence[Section], *, ui: str = "") -> str:
    """The whole page: how things stand, then each section with its list and pictures.

    ``ui``: the address of Dagster, for links that work wherever the page is forwarded to.
    """
    ordered = sorted(sections, key=lambda section: SECTIONS.index(section.name))
    lines = [f"# The grid up to {day:%A}, {day.day} {day:%B %Y}", ""]
    lines += [f"- **{HEADINGS[section.name]}:** {section.lead}" for section in ordered]
    for section in ordered:
        lines += ["", f"## {HEADINGS[section.name]}", ""]
        lines += [
            f"{place}. **{_escape_markdown(each.title)}** {_escape_markdown(each.sentence)} "
            f"[Evidence]({each.evidence.link(ui)})"
            for place, each in enumerate(section.insights, start=1)
        ] or [section.lead]
        for picture in section.pictures:
            lines += ["", picture]
    return "\n".join([*lines, ""])


def _escape_markdown(text: str) -> str:
    """Text whose signs mean themselves within Markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in text)
