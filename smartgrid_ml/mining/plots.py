"""Figures for places that show Markdown and for MLflow."""

import base64
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 80
"""Enough for a screen; a picture within Markdown is stored with every run."""


def create_figure(*, width: float = 9.0, height: float = 4.0) -> "Figure":
    """Return an empty figure, in inches, that belongs to no window and no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def embed_figure(figure: "Figure", *, about: str) -> str:
    """Return the figure as a picture within Markdown; `about` is its alternative text."""
    png = BytesIO()
    figure.savefig(png, format="png", dpi=DOTS_PER_INCH)
    return f"![{about}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})"
