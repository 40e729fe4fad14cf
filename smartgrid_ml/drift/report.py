"""Signs of drift as rows of their table, as a table to read, and as a picture."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from smartgrid_core.contracts.promotion import ModelDrift
from smartgrid_core.markdown import render_table
from smartgrid_ml.drift.drift import DriftSign
from smartgrid_ml.evaluation.picture import BLUE, RED, Bar, draw_bars

SHOWN_BOUNDS = 2.0
"""The picture ends at twice the bound: beyond it drift is drift."""


def build_drift_rows(signs: Sequence[DriftSign], *, day: date, version: str) -> pl.DataFrame:
    """Return rows of `ModelDrift`, one per sign; `day` is the last one of the measured week."""
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


def render_drift(signs: Sequence[DriftSign]) -> str:
    """Return a Markdown table with one line per sign."""
    return render_table(
        ["sign", "of", "figure", "bound", "drifted"],
        (
            (
                *(each.kind, each.name, _format_figure(each.figure), _format_figure(each.bound)),
                "yes" if each.is_drifted else "no",
            )
            for each in signs
        ),
    )


def draw_drift(signs: Sequence[DriftSign]) -> str:
    """Return an SVG picture: a bar per sign, its figure as a share of its bound."""
    bars = [
        Bar(
            each.name,
            (each.figure or 0.0) / (each.bound or 1.0),
            colour=RED if each.is_drifted else BLUE,
        )
        for each in signs
        if each.figure is not None and each.bound
    ]
    return draw_bars(bars, most=SHOWN_BOUNDS, mark=1.0, name="bound")


def _format_figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
