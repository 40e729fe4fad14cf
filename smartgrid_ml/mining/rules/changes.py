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
    compare_confidences,
    compute_q_values,
    estimate_design_effects,
)

KEY_COLUMNS = ("feeder_id", "antecedent", "consequent")

RuleKey = tuple[str, str, str]
RuleCounts = tuple[int, int, float]
"""Transactions with the antecedent, those of them with both, design effect of the days."""


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
    """Rows of `EventRuleChanges`, by key: every rule of either window.

    ``rules``, ``rules_before``: rows of `EventRules`; ``events``, ``events_before``: the rows of
    `GridEvents` that they were mined from, of windows that do not overlap.
    """
    now, before = _collect_keys(rules), _collect_keys(rules_before)
    every = sorted(now | before)
    if not every:
        return EventRuleChanges.create_empty()
    counts = [
        dict(_count_rules(some, every, timezone=timezone)) for some in (events, events_before)
    ]
    nothing: RuleCounts = (0, 0, 1.0)
    pairs = [(counts[0].get(rule, nothing), counts[1].get(rule, nothing)) for rule in every]
    p_values = np.array([compare_confidences(*pair) for pair in pairs], dtype=np.float64)
    q_values = compute_q_values(p_values, hypotheses=len(every))
    rows = [
        {
            "day": day,
            **dict(zip(KEY_COLUMNS, rule, strict=True)),
            "change": _classify_change(
                pair,
                is_rule=rule in now,
                was_rule=rule in before,
                differs=bool(q <= false_discovery_rate),
            ),
            "confidence": _compute_confidence(pair[0]),
            "confidence_before": _compute_confidence(pair[1]),
            "with_antecedent": pair[0][0],
            "with_antecedent_before": pair[1][0],
            "p_value": float(p),
            "q_value": float(q),
        }
        for rule, pair, p, q in zip(every, pairs, p_values, q_values, strict=True)
    ]
    return EventRuleChanges.validate(pl.DataFrame(rows, infer_schema_length=None), cast=True)


def _collect_keys(rules: pl.DataFrame) -> set[RuleKey]:
    return set(rules.select(KEY_COLUMNS).iter_rows())


def _compute_confidence(counts: RuleCounts) -> float | None:
    return counts[1] / counts[0] if counts[0] else None


def _classify_change(
    pair: tuple[RuleCounts, RuleCounts], *, is_rule: bool, was_rule: bool, differs: bool
) -> str:
    if not differs:
        return "steady"
    if is_rule != was_rule:
        return "new" if is_rule else "gone"
    now, before = pair
    return "stronger" if now[1] * before[0] > before[1] * now[0] else "weaker"


def _count_rules(
    events: pl.DataFrame, rules: Iterable[RuleKey], *, timezone: ZoneInfo
) -> Iterator[tuple[RuleKey, RuleCounts]]:
    of_feeder: dict[str, list[RuleKey]] = {}
    for rule in rules:
        of_feeder.setdefault(rule[0], []).append(rule)
    for feeder_id, feeder in split_by_feeder(
        events.filter(pl.col("feeder_id").is_in(list(of_feeder)))
    ):
        transactions = build_transactions(feeder, timezone=timezone)
        for rule in of_feeder[feeder_id]:
            yield rule, _count_rule(transactions, rule)


def _count_rule(transactions: Transactions, rule: RuleKey) -> RuleCounts:
    first = transactions.having(rule[1].split(ITEM_SEPARATOR))
    second = transactions.having([rule[2]])
    everywhere = np.ones(len(transactions), dtype=np.bool_)
    effect = estimate_design_effects(
        transactions.by_day(first)[None],
        transactions.by_day(second),
        present=transactions.by_day(everywhere),
    )
    return int(first.sum()), int((first & second).sum()), float(effect[0])
