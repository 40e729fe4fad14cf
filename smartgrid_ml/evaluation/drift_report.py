"""Signs of drift as rows of their table, as a table to read, and as a picture."""

from collections.abc import Sequence
from datetime import date
from html import escape

import polars as pl

from smartgrid_core.contracts.promotion import ModelDrift
from smartgrid_ml.evaluation.drift import Sign

BAR_WIDTH, BAR_HEIGHT, LABEL_WIDTH = 320, 22, 190
"""Pixels of the picture."""

SHOWN_TIMES = 2.0
"""The picture ends at twice the bound: beyond it drift is drift."""


def drift_rows(signs: Sequence[Sign], *, day: date, version: str) -> pl.DataFrame:
    """Rows of `ModelDrift`."""
    rows = [
        {
            "day": day,
            "model_version": version,
            "kind": each.kind,
            "name": each.name,
            # Rounding may leave an index of equal distributions just below zero.
            "figure": None if each.figure is None else max(0.0, each.figure),
            "bound": each.bound,
            "is_drifted": each.is_drifted,
        }
        for each in signs
    ]
    schema = ModelDrift.create_empty().schema
    return ModelDrift.validate(pl.DataFrame(rows, schema=schema), cast=True)


def drift_markdown(signs: Sequence[Sign]) -> str:
    """One line per sign."""
    lines = ["| sign | of | figure | bound | drifted |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.kind} | {each.name} | {_shown(each.figure)} | {_shown(each.bound)} "
        f"| {'yes' if each.is_drifted else 'no'} |"
        for each in signs
    ]
    return "\n".join(lines)


def drift_svg(signs: Sequence[Sign]) -> str:
    """A bar per sign that has a figure and a bound: the figure as a share of the bound."""
    known = [each for each in signs if each.figure is not None and each.bound]
    height = BAR_HEIGHT * (len(known) + 1)
    at_bound = LABEL_WIDTH + BAR_WIDTH / SHOWN_TIMES
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL_WIDTH + BAR_WIDTH + 60}" '
        f'height="{height}" font-family="sans-serif" font-size="12">'
    ]
    for place, each in enumerate(known):
        share = (each.figure or 0.0) / (each.bound or 1.0)
        width = max(1.0, BAR_WIDTH * min(share, SHOWN_TIMES) / SHOWN_TIMES)
        colour = "#b42318" if each.is_drifted else "#1f6feb"
        top = place * BAR_HEIGHT
        parts.append(
            f'<text x="{LABEL_WIDTH - 6}" y="{top + 15}" text-anchor="end">{escape(each.name)}'
            f'</text><rect x="{LABEL_WIDTH}" y="{top + 3}" width="{width:.1f}" '
            f'height="{BAR_HEIGHT - 6}" fill="{colour}"/>'
        )
    parts.append(
        f'<line x1="{at_bound}" x2="{at_bound}" y1="0" y2="{height - BAR_HEIGHT}" '
        f'stroke="#1d2733"/><text x="{at_bound}" y="{height - 6}" text-anchor="middle">bound</text>'
    )
    return "".join([*parts, "</svg>"])


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
