"""The journal of label moves: the rows to add, and what the rows say about versions. Pure."""

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
    """Return the rows of `LabelMoves` that the journal lacks to end with the state `after`.

    Noting the same twice adds no row, and a move that was not noted is made good by the next one.

    Args:
        noted: The journal so far, rows of `LabelMoves`.
        before: The serving state before the move.
        after: The serving state now.
        action: What was done: published, promoted or rolled_back.
        reason: Why, as a sentence.
        by: The asset, job or command that did it.
        now: When it was done, UTC.

    Returns:
        At most one row per label.
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
    """Return whether the last move of the version took a label away from it.

    `moves` has rows of `LabelMoves`. Such a version does not go live by itself again.
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
    """Return when the label began to mean its present version; None if the journal does not say."""
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
    """Return why a trained version does not go live by itself now, as a sentence; None if it may.

    It was rolled back before, or another version is on trial: a trial that the next training cut
    short would never end. After TRIAL_ENDS without a verdict the next version takes its place.

    Args:
        moves: Rows of `LabelMoves`.
        served: The model's serving state.
        version: The version that was trained.
        now: The present instant, UTC.

    Returns:
        A sentence, or None.
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
    """Return the version that the journal last gave the label, None for none."""
    about = noted.filter(pl.col("model") == model, pl.col("label") == label).sort("moved_at")
    return None if about.is_empty() else about["version_after"][-1]


def _to_text(version: int | None) -> str | None:
    return None if version is None else str(version)
