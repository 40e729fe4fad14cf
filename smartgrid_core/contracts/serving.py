"""Tables of who answers: label moves, traffic splits, logged predictions, variant comparisons."""

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.columns import identifier, one_of, utc
from smartgrid_core.rollout.labels import CANARY, STABLE

VARIANTS = (STABLE, CANARY)

DECISIONS = ("promote", "keep", "roll_back")


class LabelMoves(dy.Schema):
    """One row per (model, label, moved_at): a label that began or ceased to mean a version."""

    model = identifier(primary_key=True, description="The registered model's name.")
    label = one_of(*VARIANTS, primary_key=True, description="The label that moved.")
    moved_at = utc(primary_key=True, description="When it moved, UTC.")
    version_before = identifier(
        nullable=True, description="The version that the label meant before; null for none."
    )
    version_after = identifier(
        nullable=True, description="The version that the label means now; null for none."
    )
    action = one_of(
        "published", "promoted", "rolled_back", description="What was done with the version."
    )
    reason = dy.String(description="Why, as a sentence.")
    moved_by = identifier(description="The asset, job or command that moved it.")


class TrafficSplits(dy.Schema):
    """One row per model: which share of the subjects its canary answers.

    A subject belongs to the canary if sha256(salt + subject), as a fraction of its range, lies
    below the share.
    """

    model = identifier(primary_key=True, description="The registered model's name.")
    canary_share = dy.Float64(
        min=0, max=1, description="Share of the subjects that the canary answers, 0 to 1."
    )
    salt = dy.String(
        description="Goes into the hash of every subject; another one deals the subjects anew."
    )
    changed_at = utc(description="When the split was set, UTC.")


class PredictionLog(dy.Schema):
    """One row per (request_id, subject_id, variant): a subject's rows in one call of a variant."""

    request_id = identifier(
        primary_key=True, description="The call of the variant; its subjects share it."
    )
    subject_id = identifier(primary_key=True, description="The feeder that was forecast.")
    variant = one_of(*VARIANTS, primary_key=True, description="The variant that was asked.")
    asked_at = utc(description="The time of the batch, UTC.")
    model = identifier(description="The registered model's name.")
    routed_to = one_of(
        *VARIANTS,
        description=(
            "The variant that the split chose; where it is not the one that was asked, the chosen"
            " one had failed, which is a row of its own."
        ),
    )
    model_version = identifier(
        nullable=True, description="The version that answered; null if the call failed."
    )
    outcome = one_of("answered", "failed", description="How the call ended.")
    error = dy.String(nullable=True, description="Why the call failed; null if it was answered.")
    rows = dy.Int32(min=1, description="Rows of the subject in the call.")
    latency_ms = dy.Float64(min=0, description="How long the whole call took, milliseconds.")

    @dy.rule()
    def a_failure_says_why_and_an_answer_who(cls) -> pl.Expr:
        """`error` stands with failures, `model_version` with answers."""
        failed = cls.outcome.col == "failed"
        return (failed == cls.error.col.is_not_null()) & (failed == cls.model_version.col.is_null())


class VariantComparisons(dy.Schema):
    """One row per (model, canary_version, compared_at): both variants on the same feeder-hours.

    `issues` issue times from `first_issue` to `last_issue` are compared; what needs more of them
    than there are is null.
    """

    model = identifier(primary_key=True, description="The registered model's name.")
    canary_version = identifier(primary_key=True, description="The version on trial.")
    compared_at = utc(primary_key=True, description="When they were compared, UTC.")
    stable_version = identifier(description="The version that it was held against.")
    first_issue = utc(nullable=True, description="The first issue time that was compared, UTC.")
    last_issue = utc(nullable=True, description="The last issue time that was compared, UTC.")
    issues = dy.Int32(min=0, description="Issue times of which both have losses.")
    pairs = dy.Int64(min=0, description="Feeder-hours, with known load, that both were scored on.")
    stable_pinball = dy.Float64(
        nullable=True, min=0, description="Mean pinball loss of stable over the issue times, kW."
    )
    canary_pinball = dy.Float64(
        nullable=True,
        min=0,
        description="Mean pinball loss of the canary over the issue times, kW.",
    )
    difference = dy.Float64(
        nullable=True,
        description=(
            "Canary less stable, the mean over issue times, kW: negative if the canary is better."
        ),
    )
    interval_low = dy.Float64(
        nullable=True, description="Lower edge of the difference's 95 % bootstrap interval, kW."
    )
    interval_high = dy.Float64(
        nullable=True, description="Upper edge of the difference's 95 % bootstrap interval, kW."
    )
    dm_statistic = dy.Float64(
        nullable=True,
        description=(
            "Statistic of the Diebold-Mariano test that the difference is zero; null where it is "
            "infinite."
        ),
    )
    p_value = dy.Float64(
        nullable=True, min=0, max=1, description="p-value of that test, two-sided."
    )
    decision = one_of(*DECISIONS, description="What follows for the canary.")
    reason = dy.String(description="The verdict in words.")
