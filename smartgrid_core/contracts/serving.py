"""Tables of who answers: label moves, traffic splits, logged predictions, variant comparisons."""

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.columns import identifier, one_of, utc
from smartgrid_core.rollout.labels import CANARY, STABLE

VARIANTS = (STABLE, CANARY)

DECISIONS = ("promote", "keep", "roll_back")


class LabelMoves(dy.Schema):
    """One row per (model, label, moved_at): a label that began or ceased to mean a version.

    `version_before` and `version_after` are null where the label meant none. `moved_by` is the
    asset, job or command that moved it.
    """

    model = identifier(primary_key=True)
    label = one_of(*VARIANTS, primary_key=True)
    moved_at = utc(primary_key=True)
    version_before = identifier(nullable=True)
    version_after = identifier(nullable=True)
    action = one_of("published", "promoted", "rolled_back")
    reason = dy.String()
    moved_by = identifier()


class TrafficSplits(dy.Schema):
    """One row per model: which share of the subjects its canary answers, 0 to 1.

    A subject belongs to the canary if sha256(salt + subject), as a fraction of its range, lies
    below the share; another salt deals the subjects anew.
    """

    model = identifier(primary_key=True)
    canary_share = dy.Float64(min=0, max=1)
    salt = dy.String()
    changed_at = utc()


class PredictionLog(dy.Schema):
    """One row per (request_id, subject_id, variant): a subject's rows within one call of a variant.

    `routed_to` is the variant that the split chose, `variant` the one that was asked: where they
    differ the chosen one had failed, which is a row of its own. `latency_ms` is that of the whole
    call, `rows` counts the subject's.
    """

    request_id = identifier(primary_key=True)
    subject_id = identifier(primary_key=True)
    variant = one_of(*VARIANTS, primary_key=True)
    asked_at = utc()
    model = identifier()
    routed_to = one_of(*VARIANTS)
    model_version = identifier(nullable=True)
    outcome = one_of("answered", "failed")
    error = dy.String(nullable=True)
    rows = dy.Int32(min=1)
    latency_ms = dy.Float64(min=0)

    @dy.rule()
    def a_failure_says_why_and_an_answer_who(cls) -> pl.Expr:
        """`error` stands with failures, `model_version` with answers."""
        failed = cls.outcome.col == "failed"
        return (failed == cls.error.col.is_not_null()) & (failed == cls.model_version.col.is_null())


class VariantComparisons(dy.Schema):
    """One row per (model, canary_version, compared_at): both variants on the same feeder-hours.

    `issues` issue times from `first_issue` to `last_issue` with `pairs` feeder-hours whose load is
    known. `stable_pinball`, `canary_pinball`: mean pinball loss of each, kW. `difference` is
    canary - stable, the mean over issue times, kW, with its 95 % bootstrap interval;
    `dm_statistic` and `p_value` are those of the Diebold-Mariano test that it is zero; null while
    there are too few issue times.
    """

    model = identifier(primary_key=True)
    canary_version = identifier(primary_key=True)
    compared_at = utc(primary_key=True)
    stable_version = identifier()
    first_issue = utc(nullable=True)
    last_issue = utc(nullable=True)
    issues = dy.Int32(min=0)
    pairs = dy.Int64(min=0)
    stable_pinball = dy.Float64(nullable=True, min=0)
    canary_pinball = dy.Float64(nullable=True, min=0)
    difference = dy.Float64(nullable=True)
    interval_low = dy.Float64(nullable=True)
    interval_high = dy.Float64(nullable=True)
    dm_statistic = dy.Float64(nullable=True)
    p_value = dy.Float64(nullable=True, min=0, max=1)
    decision = one_of(*DECISIONS)
    reason = dy.String()
