"""Association rules of grid events, feeder by feeder: what goes with what an operator acts on.

Feeders are mined by themselves: pooled, a feeder that has both many peaks and low voltage would
make a rule out of hours that never met (Simpson's paradox). The false discovery rate is controlled
over all of them together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from smartgrid_core.contracts.event_items import CONSEQUENTS, MEANING, is_sound_rule
from smartgrid_core.contracts.events import ITEM_SEPARATOR, EventItemsets, EventRules
from smartgrid_ml.mining.rules.itemsets import (
    Algorithm,
    Transactions,
    build_transactions,
    find_frequent_itemsets,
)
from smartgrid_ml.mining.rules.significance import (
    bound_confidence,
    compute_fisher_p,
    compute_q_values,
    correct_p_values,
    estimate_design_effects,
)


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """What a rule has to reach to be shown."""

    min_support: float = 0.01
    """Of a feeder's transactions: about 13 hours in eight weeks."""
    max_items: int = 3
    """Two conditions and what follows; nobody remembers a rule with more."""
    min_confidence: float = 0.3
    least_improvement: float = 0.05
    """Confidence that every further condition has to add, over the share without any to begin with
    (R. Bayardo, R. Agrawal, D. Gunopulos, Constraint-based rule mining in large, dense databases,
    1999)."""
    false_discovery_rate: float = 0.05


@dataclass(frozen=True)
class MinedRules:
    """What was found: rows of `EventItemsets` and `EventRules`, and how many pairs were tested."""

    itemsets: pl.DataFrame
    rules: pl.DataFrame
    hypotheses: int


@dataclass(frozen=True, slots=True)
class TestedPair:
    """One tested pair of a feeder, in counts of its transactions."""

    feeder_id: str
    antecedent: frozenset[str]
    consequent: str
    transactions: int
    with_antecedent: int
    with_consequent: int
    with_both: int
    design_effect: float
    p_value: float
    improvement: float
    """Confidence less the largest one of a rule with fewer conditions, none included."""


def mine_rules(
    events: pl.DataFrame,
    *,
    day: date,
    timezone: ZoneInfo,
    limits: RuleLimits | None = None,
    algorithm: Algorithm = "fpgrowth",
    unit: str = "hours",
) -> MinedRules:
    """Frequent itemsets and significant rules of a window's `GridEvents` that ends with `day`.

    Tested is every pair of a frequent antecedent and a frequent consequent that `is_sound_rule`
    allows. Both margins are fixed in Fisher's test, so that choosing by them costs nothing; a pair
    that is too rare together counts as tested and lost. `unit` is what sentences call a
    transaction.
    """
    limits = limits or RuleLimits()
    found: list[pl.DataFrame] = []
    pairs: list[TestedPair] = []
    hypotheses = 0
    for feeder_id, feeder in split_by_feeder(events):
        transactions = build_transactions(feeder, timezone=timezone)
        itemsets = find_frequent_itemsets(
            transactions,
            min_support=limits.min_support,
            max_items=limits.max_items,
            algorithm=algorithm,
        )
        found.append(
            itemsets.select(
                day=pl.lit(day),
                feeder_id=pl.lit(feeder_id),
                items=pl.col("items").list.join(ITEM_SEPARATOR),
                length=pl.col("items").list.len(),
                transactions="transactions",
                support=pl.col("transactions") / len(transactions),
            )
        )
        count_of = {frozenset(items): count for items, count in itemsets.iter_rows()}
        tested, candidates = _test_pairs(feeder_id, transactions, count_of=count_of, limits=limits)
        hypotheses += tested
        pairs += candidates
    rules = _rank_rules(pairs, hypotheses=hypotheses, day=day, limits=limits, unit=unit)
    together = pl.concat(found) if found else EventItemsets.create_empty()
    return MinedRules(
        EventItemsets.validate(
            together.sort("feeder_id", "length", "items").select(EventItemsets.column_names()),
            cast=True,
        ),
        rules,
        hypotheses,
    )


def split_by_feeder(events: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The feeders in order, each with its events."""
    for rows in events.sort("feeder_id").partition_by("feeder_id", maintain_order=True):
        yield str(rows["feeder_id"][0]), rows


def _test_pairs(
    feeder_id: str,
    transactions: Transactions,
    *,
    count_of: Mapping[frozenset[str], int],
    limits: RuleLimits,
) -> tuple[int, list[TestedPair]]:
    """How many pairs of a feeder are hypotheses, and those that are frequent and have a lift."""
    tested, pairs = 0, []
    present = transactions.by_day(np.ones(len(transactions), dtype=np.bool_))
    for consequent in (item for item in CONSEQUENTS if frozenset([item]) in count_of):
        follows = count_of[frozenset([consequent])]
        rules = [
            items
            for items in count_of
            if len(items) < limits.max_items
            and consequent not in items
            and is_sound_rule(items, consequent)
        ]
        tested += len(rules)
        lifted = [
            items
            for items in rules
            if count_of.get(items | {consequent}, 0) * len(transactions) > count_of[items] * follows
        ]
        if not lifted:
            continue
        before = np.array([transactions.by_day(transactions.having(items)) for items in lifted])
        after = transactions.by_day(transactions.having([consequent]))
        effects = estimate_design_effects(before, after, present=present)
        exact = [compute_fisher_p(each, after, present=present) for each in before]
        p_values = correct_p_values(np.array(exact), effects)
        pairs += [
            TestedPair(
                feeder_id,
                items,
                consequent,
                len(transactions),
                count_of[items],
                follows,
                count_of[items | {consequent}],
                float(effects[number]),
                float(p_values[number]),
                _compute_improvement(
                    items, consequent, count_of=count_of, base=follows / len(transactions)
                ),
            )
            for number, items in enumerate(lifted)
        ]
    return tested, pairs


def _compute_improvement(
    items: frozenset[str], consequent: str, *, count_of: Mapping[frozenset[str], int], base: float
) -> float:
    """Over the rules with one condition less, and the share without any.

    One that is too rare together to be counted has next to no confidence.
    """

    def confidence(some: frozenset[str]) -> float:
        return count_of.get(some | {consequent}, 0) / count_of[some]

    simpler = [confidence(items - {item}) for item in items if len(items) > 1]
    return confidence(items) - max([base, *simpler])


def _rank_rules(
    pairs: list[TestedPair], *, hypotheses: int, day: date, limits: RuleLimits, unit: str
) -> pl.DataFrame:
    """Rows of `EventRules`, by rank."""
    q_values = compute_q_values(
        np.array([pair.p_value for pair in pairs], dtype=np.float64), hypotheses=hypotheses
    )
    rows = [
        _build_rule_row(pair, q_value=float(q_value), day=day, unit=unit)
        for pair, q_value in zip(pairs, q_values, strict=True)
        if q_value <= limits.false_discovery_rate
        and pair.with_both >= limits.min_confidence * pair.with_antecedent
        and pair.improvement >= limits.least_improvement
    ]
    if not rows:
        return EventRules.create_empty()
    order = ["score", "p_value", "feeder_id", "antecedent", "consequent"]
    ranked = (
        pl.DataFrame(rows, infer_schema_length=None)
        .with_columns(feeders=pl.len().over("antecedent", "consequent"))
        .sort(order, descending=[True, False, False, False, False])
        .with_row_index("rank", offset=1)
    )
    return EventRules.validate(ranked.select(EventRules.column_names()), cast=True)


def _build_rule_row(pair: TestedPair, *, q_value: float, day: date, unit: str) -> dict[str, object]:
    """The rule with its figures.

    Support and confidence: R. Agrawal, T. Imielinski, A. Swami, 1993. Lift and conviction: S. Brin,
    R. Motwani, J. Ullman, S. Tsur, 1997. Leverage: G. Piatetsky-Shapiro, 1991.
    """
    whole = pair.transactions
    confidence = pair.with_both / pair.with_antecedent
    base = pair.with_consequent / whole
    low = bound_confidence(
        np.array([pair.with_antecedent], dtype=np.float64),
        np.array([pair.with_both], dtype=np.float64),
        np.array([pair.design_effect]),
    )[0]
    said = " and ".join(MEANING[item] for item in sorted(pair.antecedent))
    return {
        "day": day,
        "feeder_id": pair.feeder_id,
        "antecedent": ITEM_SEPARATOR.join(sorted(pair.antecedent)),
        "consequent": pair.consequent,
        "score": CONSEQUENTS[pair.consequent] * max(float(low) - base, 0.0),
        "transactions": whole,
        "with_antecedent": pair.with_antecedent,
        "with_consequent": pair.with_consequent,
        "with_both": pair.with_both,
        "support": pair.with_both / whole,
        "confidence": confidence,
        "lift": confidence / base,
        "leverage": pair.with_both / whole - pair.with_antecedent / whole * base,
        "conviction": (1 - base) / (1 - confidence) if confidence < 1 else None,
        "design_effect": pair.design_effect,
        "p_value": pair.p_value,
        "q_value": q_value,
        "sentence": (
            f"On {pair.feeder_id}, when {said}, {MEANING[pair.consequent]} in {pair.with_both} of "
            f"{pair.with_antecedent} {unit} ({100 * confidence:.0f} %), "
            f"{confidence / base:.1f} times as often as usual."
        ),
    }
