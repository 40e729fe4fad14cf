"""Bars as a small SVG picture, for places that show Markdown only."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from smartgrid_core.markdown import embed_picture

BAR_WIDTH, BAR_HEIGHT, LABEL_WIDTH, FIGURE_WIDTH = 320, 22, 190, 60
"""Pixels of the picture."""

BLUE, GREY, RED = "#1f6feb", "#8b98a9", "#b42318"


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the picture."""

    label: str
    """Before the bar."""
    value: float
    """The bar's length, in the unit of `most` of the picture."""
    colour: str = BLUE
    """As in CSS."""
    text: str = ""
    """Behind the bar."""


def draw_bars(
    bars: Sequence[Bar], *, most: float, mark: float | None = None, name: str = ""
) -> str:
    """Return an SVG picture with a bar per line.

    Args:
        bars: from top to bottom.
        most: the value at which a bar is as long as the picture is wide; longer ones are cut.
        mark: the value at which a vertical line is drawn; None: nowhere.
        name: stands below that line.

    Returns:
        The text of the SVG element.
    """
    height = BAR_HEIGHT * (len(bars) + (mark is not None))
    width = LABEL_WIDTH + BAR_WIDTH + FIGURE_WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="12">'
    ]
    for place, bar in enumerate(bars):
        length = max(1.0, BAR_WIDTH * min(bar.value / most, 1.0)) if most > 0 else 1.0
        top = place * BAR_HEIGHT
        parts.append(
            f'<text x="{LABEL_WIDTH - 6}" y="{top + 15}" text-anchor="end">{escape(bar.label)}'
            f'</text><rect x="{LABEL_WIDTH}" y="{top + 3}" width="{length:.1f}" '
            f'height="{BAR_HEIGHT - 6}" fill="{bar.colour}"/>'
        )
        if bar.text:
            at = LABEL_WIDTH + length + 5
            parts.append(f'<text x="{at:.1f}" y="{top + 15}">{escape(bar.text)}</text>')
    if mark is not None and most > 0:
        at = LABEL_WIDTH + BAR_WIDTH * mark / most
        parts.append(
            f'<line x1="{at}" x2="{at}" y1="0" y2="{height - BAR_HEIGHT}" stroke="#1d2733"/>'
            f'<text x="{at}" y="{height - 6}" text-anchor="middle">{escape(name)}</text>'
        )
    return "".join([*parts, "</svg>"])


def embed_in_markdown(svg: str, *, about: str) -> str:
    """Return a picture within Markdown, without a file; `about` stands where it is not shown."""
    return embed_picture(svg.encode(), kind="svg+xml", about=about)
