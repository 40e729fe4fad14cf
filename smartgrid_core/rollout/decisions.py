"""What the journal of promotion decisions says about a version. Pure."""

import polars as pl

from smartgrid_core.rollout.labels import ServingState

PASSING = ("promote", "keep")
"""Decisions after which a version may bear a label: let through, or on trial."""


def explain_refusal(decisions: pl.DataFrame, served: ServingState, version: int) -> str | None:
    """Return why a version may not be published, as a sentence; None if it may.

    `decisions` has rows of `PromotionDecisions`; the newest about the version counts. A version
    that has a label may be published again: that repairs what a killed run left undone.
    """
    if version in served.labels.values():
        return None
    about = decisions.filter(
        pl.col("model") == served.model, pl.col("version") == str(version)
    ).sort("decided_at")
    if about.is_empty():
        return describe_undecided(version)
    newest = about.row(-1, named=True)
    if newest["decision"] in PASSING:
        return None
    return f"version {version} is refused: {newest['reason']}"


def describe_undecided(version: int) -> str:
    """Return the sentence about a version on which no decision was made."""
    return f"no decision about version {version} is on record: materialise promotion_decision"
