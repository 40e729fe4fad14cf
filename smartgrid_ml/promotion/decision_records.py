"""A decision of the gate as rows of its table, and as people read it."""

from datetime import datetime

import polars as pl

from smartgrid_core.contracts.promotion import PromotionDecisions
from smartgrid_core.markdown import render_table
from smartgrid_ml.promotion.gate import Decision


def build_decision_rows(
    decision: Decision,
    *,
    model: str,
    version: str,
    champion: str | None,
    by: str,
    now: datetime,
) -> pl.DataFrame:
    """Return rows of `PromotionDecisions`, one per condition.

    Args:
        decision: what became of the version.
        model: the registered model's name.
        version: which of its versions was judged.
        champion: the version that it was held against; None for none.
        by: the asset or job that decided.
        now: the time of the decision, UTC; the same for all rows.

    Returns:
        The rows in the order of the conditions.
    """
    rows = [
        {
            "model": model,
            "version": version,
            "decided_at": now,
            "condition": each.name,
            "passed": each.passed,
            "figure": each.figure,
            "bound": each.bound,
            "sentence": each.sentence,
            "decision": decision.outcome,
            "reason": decision.reason,
            "champion_version": champion,
            "decided_by": by,
        }
        for each in decision.conditions
    ]
    schema = PromotionDecisions.create_empty().schema
    return PromotionDecisions.validate(pl.DataFrame(rows, schema=schema), cast=True)


def render_decision(decision: Decision) -> str:
    """Return the conditions as a Markdown table in the order in which they were looked at."""
    return render_table(
        ["condition", "figure", "bound", "passed", "in words"],
        (
            (
                *(each.name, _format_figure(each.figure), _format_figure(each.bound)),
                *("yes" if each.passed else "no", each.sentence),
            )
            for each in decision.conditions
        ),
    )


def _format_figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
