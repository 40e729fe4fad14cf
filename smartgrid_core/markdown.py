"""What places that show Markdown need: tables, and pictures without a file."""

import base64
from collections.abc import Iterable, Sequence

_ESCAPES = str.maketrans({"|": "\\|", "\n": " ", "\r": None})
"""A bar or a line's end in a cell would end the cell."""


def render_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; cells are shown as `str` shows them, None as an empty cell.

    >>> print(render_table(["feeder", "kW"], [("F1", 2.5), ("F2", None)]))
    | feeder | kW |
    |---|---|
    | F1 | 2.5 |
    | F2 |  |
    """
    lines = [_render_row(columns), "|" + "---|" * len(columns)]
    return "\n".join([*lines, *map(_render_row, rows)])


def embed_picture(content: bytes, *, kind: str, about: str) -> str:
    """Return a picture within Markdown.

    ``kind``: its media type behind `image/`, such as `png`; ``about``: stands where it is not
    shown.

    >>> embed_picture(b"<svg/>", kind="svg+xml", about="nothing")
    '![nothing](data:image/svg+xml;base64,PHN2Zy8+)'
    """
    return f"![{about}](data:image/{kind};base64,{base64.b64encode(content).decode()})"


def _render_row(cells: Sequence[object]) -> str:
    texts = ("" if cell is None else str(cell).translate(_ESCAPES) for cell in cells)
    return f"| {' | '.join(texts)} |"
