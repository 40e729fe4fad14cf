"""The journal of label moves: its rows, and what it says about versions. Pure."""

from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from smartgrid_core.contracts.serving import LabelMoves
from smartgrid_core.rollout.labels import CANARY, STABLE, ServingState

Action = Literal["published", "promoted", "rolled_back"]

TRIAL_ENDS = timedelta(days=28)
"""A verdict takes two weeks of truth, and truth may be late."""


def build_label_moves(
    noted: pl.DataFrame,
    *,
    before: ServingState,
    after: ServingState,
    action: Action,
    reason: str,
    by: str,
    now: datetime,
) -> pl.DataFrame:
    """Rows of `LabelMoves` that `noted`, the journal so far, lacks to end with `after`.

    Noting twice notes nothing new, and a move whose noting was cut short is made good by the next.
    """
    rows = []
    for label in (STABLE, CANARY):
        was, now_is = (
            _find_last_version(noted, after.model, label),
            _to_text(after.labels.get(label)),
        )
        if was == now_is:
            continue
        earlier = _to_text(before.labels.get(label))
        rows.append(
            {
                "model": after.model,
                "label": label,
                "moved_at": now,
                "version_before": was if earlier == now_is else earlier,
                "version_after": now_is,
                "action": action,
                "reason": reason,
                "moved_by": by,
            }
        )
    return LabelMoves.validate(
        pl.DataFrame(rows, schema=LabelMoves.create_empty().schema), cast=True
    )


def is_rejected(moves: pl.DataFrame, version: str, *, model: str) -> bool:
    """Whether the last that happened to the version was that a label was taken from it.

    `moves` are rows of `LabelMoves`. Such a version does not go live by itself again.
    """
    about = moves.filter(
        pl.col("model") == model,
        (pl.col("version_before") == version) | (pl.col("version_after") == version),
    ).sort("moved_at")
    if about.is_empty():
        return False
    last = about.filter(pl.col("moved_at") == about["moved_at"][-1])
    return not (last["version_after"] == version).any() and "rolled_back" in last["action"]


def find_label_start(moves: pl.DataFrame, served: ServingState, label: str) -> datetime | None:
    """When the label began to mean the version that it means now; None if nobody noted it."""
    version = _to_text(served.labels.get(label))
    if version is None:
        return None
    given = moves.filter(
        pl.col("model") == served.model,
        pl.col("label") == label,
        pl.col("version_after") == version,
    ).sort("moved_at")
    return None if given.is_empty() else given["moved_at"][-1]


def explain_wait(
    moves: pl.DataFrame, served: ServingState, version: int, *, now: datetime
) -> str | None:
    """Why a version that was trained does not go live by itself at present; None if it may.

    It was taken back before, or another one is on trial: a trial that is cut short by the next
    training would never end. After TRIAL_ENDS without a verdict the next version takes its place.
    """
    if is_rejected(moves, str(version), model=served.model):
        return f"version {version} was rolled back: see label_moves"
    if served.canary in (None, version):
        return None
    since = find_label_start(moves, served, CANARY)
    if since is None or now - since >= TRIAL_ENDS:
        return None
    return f"version {served.canary} is on trial since {since:%Y-%m-%d}; version {version} waits"


def _find_last_version(noted: pl.DataFrame, model: str, label: str) -> str | None:
    about = noted.filter(pl.col("model") == model, pl.col("label") == label).sort("moved_at")
    return None if about.is_empty() else about["version_after"][-1]


def _to_text(version: int | None) -> str | None:
    return None if version is None else str(version)
