"""How rules move from one window to the next: new, gone, stronger, weaker."""

from collections.abc import Iterable, Iterator
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from smartgrid_core.contracts.events import ITEM_SEPARATOR, EventRuleChanges
from smartgrid_ml.mining.rules.itemsets import Transactions, build_transactions
from smartgrid_ml.mining.rules.mine import split_by_feeder
from smartgrid_ml.mining.rules.significance import (
    RuleCounts,
    compare_confidences,
    compute_q_values,
    estimate_design_effects,
)

KEY_COLUMNS = ("feeder_id", "antecedent", "consequent")

RuleKey = tuple[str, str, str]
"""The values of KEY_COLUMNS."""


def compare_rules(
    *,
    rules: pl.DataFrame,
    rules_before: pl.DataFrame,
    events: pl.DataFrame,
    events_before: pl.DataFrame,
    day: date,
    timezone: ZoneInfo,
    false_discovery_rate: float = 0.05,
) -> pl.DataFrame:
    """Return rows of `EventRuleChanges`, by key: every rule of either window.

    Args:
        rules: Rows of `EventRules` of the window.
        rules_before: The same of a window before, which does not overlap.
        events: The rows of `GridEvents` that `rules` were mined from.
        events_before: Those that `rules_before` were mined from.
        day: The last day of the window.
        timezone: Of the hours of the day that are compared.
        false_discovery_rate: Largest q at which confidences count as different.
    """
    now, before = _collect_keys(rules), _collect_keys(rules_before)
    keys = sorted(now | before)
    if not keys:
        return EventRuleChanges.create_empty()
    counts_now = dict(_count_rules(events, keys, timezone=timezone))
    counts_before = dict(_count_rules(events_before, keys, timezone=timezone))
    pairs = [
        (counts_now.get(key, RuleCounts()), counts_before.get(key, RuleCounts())) for key in keys
    ]
    p_values = np.array([compare_confidences(*pair) for pair in pairs], dtype=np.float64)
    q_values = compute_q_values(p_values, hypotheses=len(keys))
    rows = [
        {
            "day": day,
            **dict(zip(KEY_COLUMNS, key, strict=True)),
            "change": _classify_change(
                of_now,
                of_before,
                is_rule=key in now,
                was_rule=key in before,
                differs=bool(q <= false_discovery_rate),
            ),
            "confidence": of_now.confidence,
            "confidence_before": of_before.confidence,
            "with_antecedent": of_now.with_antecedent,
            "with_antecedent_before": of_before.with_antecedent,
            "p_value": float(p),
            "q_value": float(q),
        }
        for key, (of_now, of_before), p, q in zip(keys, pairs, p_values, q_values, strict=True)
    ]
    return EventRuleChanges.validate(pl.DataFrame(rows, infer_schema_length=None), cast=True)


def _collect_keys(rules: pl.DataFrame) -> set[RuleKey]:
    return set(rules.select(KEY_COLUMNS).iter_rows())


def _classify_change(
    now: RuleCounts, before: RuleCounts, *, is_rule: bool, was_rule: bool, differs: bool
) -> str:
    """Return one of RULE_CHANGES.

    Args:
        now: Counts of the window.
        before: Counts of the window before.
        is_rule: Whether it is a rule of the window.
        was_rule: Whether it was one of the window before.
        differs: Whether the confidences differ.
    """
    if not differs:
        return "steady"
    if is_rule != was_rule:
        return "new" if is_rule else "gone"
    is_stronger = now.with_both * before.with_antecedent > before.with_both * now.with_antecedent
    return "stronger" if is_stronger else "weaker"


def _count_rules(
    events: pl.DataFrame, keys: Iterable[RuleKey], *, timezone: ZoneInfo
) -> Iterator[tuple[RuleKey, RuleCounts]]:
    """Yield the counts of each rule whose feeder has events; ``events``: rows of `GridEvents`."""
    keys_of: dict[str, list[RuleKey]] = {}
    for key in keys:
        keys_of.setdefault(key[0], []).append(key)
    of_feeders = events.filter(pl.col("feeder_id").is_in(list(keys_of)))
    for feeder_id, feeder in split_by_feeder(of_feeders):
        transactions = build_transactions(feeder, timezone=timezone)
        for key in keys_of[feeder_id]:
            yield key, _count_rule(transactions, key)


def _count_rule(transactions: Transactions, key: RuleKey) -> RuleCounts:
    _, antecedent, consequent = key
    has_antecedent = transactions.mark_holding(antecedent.split(ITEM_SEPARATOR))
    has_consequent = transactions.mark_holding([consequent])
    everywhere = np.ones(len(transactions), dtype=np.bool_)
    effect = estimate_design_effects(
        transactions.mark_by_day(has_antecedent)[None],
        transactions.mark_by_day(has_consequent),
        present=transactions.mark_by_day(everywhere),
    )
    return RuleCounts(
        int(has_antecedent.sum()), int((has_antecedent & has_consequent).sum()), float(effect[0])
    )
