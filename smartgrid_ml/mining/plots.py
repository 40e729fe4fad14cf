"""Figures for places that show Markdown and for MLflow."""

from io import BytesIO
from typing import TYPE_CHECKING

from smartgrid_core.markdown import embed_picture

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
    return embed_picture(png.getvalue(), kind="png", about=about)
