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

ItemsetCounts = Mapping[frozenset[str], int]
"""How many transactions hold an itemset, of the frequent ones."""


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """What a rule has to reach to be shown."""

    min_support: float = 0.01
    """Of a feeder's transactions: about 13 hours in eight weeks."""
    max_items: int = 3
    """Two conditions and what follows; nobody remembers a rule with more."""
    min_confidence: float = 0.3
    """Share of the transactions with the antecedent that have the consequent, too."""
    least_improvement: float = 0.05
    """Confidence that every further condition has to add, over the share without any to begin with
    (R. Bayardo, R. Agrawal, D. Gunopulos, Constraint-based rule mining in large, dense databases,
    1999)."""
    false_discovery_rate: float = 0.05
    """Largest q of a rule."""

    def __post_init__(self) -> None:
        """Raise ValueError naming the first limit that no rule can be held to."""
        for name in ("min_support", "false_discovery_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in (0, 1], got {getattr(self, name)}")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence lies in [0, 1], got {self.min_confidence}")
        if self.max_items < 1:
            raise ValueError(f"max_items is at least 1, got {self.max_items}")


@dataclass(frozen=True)
class MinedRules:
    """What was found in a window."""

    itemsets: pl.DataFrame
    """Rows of `EventItemsets`."""
    rules: pl.DataFrame
    """Rows of `EventRules`, by rank."""
    hypotheses: int
    """How many pairs of antecedent and consequent were tested."""


@dataclass(frozen=True, slots=True)
class CandidateRule:
    """One tested pair of a feeder, in counts of its transactions."""

    feeder_id: str
    antecedent: frozenset[str]
    consequent: str
    transactions: int
    """Of the feeder, in all."""
    with_antecedent: int
    """Transactions with all items of the antecedent."""
    with_consequent: int
    """Transactions with the consequent."""
    with_both: int
    """Transactions with both."""
    design_effect: float
    """By how much days in spells widen the count of both, at least 1."""
    p_value: float
    """One-sided, corrected by the design effect."""
    improvement: float
    """Confidence less the largest one of a rule with fewer conditions, none included."""

    @property
    def confidence(self) -> float:
        """Share of the transactions with the antecedent that have the consequent, too."""
        return self.with_both / self.with_antecedent


def mine_rules(
    events: pl.DataFrame,
    *,
    day: date,
    timezone: ZoneInfo,
    limits: RuleLimits | None = None,
    algorithm: Algorithm = "fpgrowth",
    unit: str = "hours",
) -> MinedRules:
    """Return frequent itemsets and significant rules of a window.

    Tested is every pair of a frequent antecedent and a frequent consequent that `is_sound_rule`
    allows. Both margins are fixed in Fisher's test, so that choosing by them costs nothing; a pair
    that is too rare together counts as tested and lost.

    Args:
        events: Rows of `GridEvents` of the window.
        day: The last day of the window.
        timezone: Of the hours of the day that are compared.
        limits: What a rule has to reach; None for the defaults.
        algorithm: Finds the itemsets; both find the same.
        unit: What sentences call a transaction.
    """
    limits = limits or RuleLimits()
    itemset_rows: list[pl.DataFrame] = []
    pairs: list[CandidateRule] = []
    hypotheses = 0
    for feeder_id, feeder in split_by_feeder(events):
        transactions = build_transactions(feeder, timezone=timezone)
        itemsets = find_frequent_itemsets(
            transactions,
            min_support=limits.min_support,
            max_items=limits.max_items,
            algorithm=algorithm,
        )
        itemset_rows.append(
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
    together = pl.concat(itemset_rows) if itemset_rows else EventItemsets.create_empty()
    return MinedRules(
        EventItemsets.validate(
            together.sort("feeder_id", "length", "items").select(EventItemsets.column_names()),
            cast=True,
        ),
        rules,
        hypotheses,
    )


def split_by_feeder(events: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the feeders in order, each with its rows of `GridEvents`."""
    for rows in events.sort("feeder_id").partition_by("feeder_id", maintain_order=True):
        yield str(rows["feeder_id"][0]), rows


def _test_pairs(
    feeder_id: str,
    transactions: Transactions,
    *,
    count_of: ItemsetCounts,
    limits: RuleLimits,
) -> tuple[int, list[CandidateRule]]:
    """Return how many pairs of a feeder are hypotheses, and those with a lift.

    Args:
        feeder_id: The feeder.
        transactions: Its transactions.
        count_of: Its frequent itemsets.
        limits: Say how many items a rule may have.
    """
    tested, pairs = 0, []
    for consequent in (item for item in CONSEQUENTS if frozenset([item]) in count_of):
        antecedents = [
            items
            for items in count_of
            if len(items) < limits.max_items
            and consequent not in items
            and is_sound_rule(items, consequent)
        ]
        tested += len(antecedents)
        follows = count_of[frozenset([consequent])]
        lifted = [
            items
            for items in antecedents
            if count_of.get(items | {consequent}, 0) * len(transactions) > count_of[items] * follows
        ]
        if lifted:
            pairs += _test_antecedents(
                feeder_id, transactions, lifted, consequent=consequent, count_of=count_of
            )
    return tested, pairs


def _test_antecedents(
    feeder_id: str,
    transactions: Transactions,
    antecedents: list[frozenset[str]],
    *,
    consequent: str,
    count_of: ItemsetCounts,
) -> list[CandidateRule]:
    """Return the tests of antecedents that have a lift for one consequent.

    Args:
        feeder_id: The feeder.
        transactions: Its transactions.
        antecedents: Frequent itemsets.
        consequent: A frequent item.
        count_of: The frequent itemsets of the feeder.
    """
    # marks by calendar: (n_antecedents, n_days, n_slots) and (n_days, n_slots)
    before = np.array(
        [transactions.mark_by_day(transactions.mark_holding(items)) for items in antecedents]
    )
    after = transactions.mark_by_day(transactions.mark_holding([consequent]))
    present = transactions.mark_by_day(np.ones(len(transactions), dtype=np.bool_))
    effects = estimate_design_effects(before, after, present=present)
    exact = [compute_fisher_p(marks, after, present=present) for marks in before]
    p_values = correct_p_values(np.array(exact), effects)
    follows = count_of[frozenset([consequent])]
    base = follows / len(transactions)
    return [
        CandidateRule(
            feeder_id=feeder_id,
            antecedent=items,
            consequent=consequent,
            transactions=len(transactions),
            with_antecedent=count_of[items],
            with_consequent=follows,
            with_both=count_of[items | {consequent}],
            design_effect=float(effect),
            p_value=float(p_value),
            improvement=_compute_improvement(items, consequent, count_of=count_of, base=base),
        )
        for items, effect, p_value in zip(antecedents, effects, p_values, strict=True)
    ]


def _compute_improvement(
    items: frozenset[str], consequent: str, *, count_of: ItemsetCounts, base: float
) -> float:
    """Return the confidence less that of rules with one condition less, and the share without any.

    A rule that is too rare together to be counted has next to no confidence.

    Args:
        items: The antecedent.
        consequent: The consequent.
        count_of: The frequent itemsets of the feeder.
        base: Share of all transactions that have the consequent.
    """

    def compute_confidence(antecedent: frozenset[str]) -> float:
        return count_of.get(antecedent | {consequent}, 0) / count_of[antecedent]

    simpler = [compute_confidence(items - {item}) for item in items if len(items) > 1]
    return compute_confidence(items) - max([base, *simpler])


def _rank_rules(
    pairs: list[CandidateRule], *, hypotheses: int, day: date, limits: RuleLimits, unit: str
) -> pl.DataFrame:
    """Return rows of `EventRules` of the pairs that reach the limits, by rank.

    Args:
        pairs: The tested pairs of all feeders.
        hypotheses: How many pairs were tested, those that are too rare together included.
        day: The last day of the window.
        limits: What a rule has to reach.
        unit: What sentences call a transaction.
    """
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


def _build_rule_row(
    pair: CandidateRule, *, q_value: float, day: date, unit: str
) -> dict[str, object]:
    """Return the columns of `EventRules` but rank and feeders.

    Support and confidence: R. Agrawal, T. Imielinski, A. Swami, 1993. Lift and conviction: S. Brin,
    R. Motwani, J. Ullman, S. Tsur, 1997. Leverage: G. Piatetsky-Shapiro, 1991.

    Args:
        pair: The pair that is a rule.
        q_value: Its p-value under control of the false discovery rate.
        day: The last day of the window.
        unit: What the sentence calls a transaction.
    """
    n, confidence = pair.transactions, pair.confidence
    base = pair.with_consequent / n
    low = bound_confidence(
        np.array([pair.with_antecedent], dtype=np.float64),
        np.array([pair.with_both], dtype=np.float64),
        np.array([pair.design_effect]),
    )[0]
    return {
        "day": day,
        "feeder_id": pair.feeder_id,
        "antecedent": ITEM_SEPARATOR.join(sorted(pair.antecedent)),
        "consequent": pair.consequent,
        "score": CONSEQUENTS[pair.consequent] * max(float(low) - base, 0.0),
        "transactions": n,
        "with_antecedent": pair.with_antecedent,
        "with_consequent": pair.with_consequent,
        "with_both": pair.with_both,
        "support": pair.with_both / n,
        "confidence": confidence,
        "lift": confidence / base,
        "leverage": pair.with_both / n - pair.with_antecedent / n * base,
        "conviction": (1 - base) / (1 - confidence) if confidence < 1 else None,
        "design_effect": pair.design_effect,
        "p_value": pair.p_value,
        "q_value": q_value,
        "sentence": _write_sentence(pair, lift=confidence / base, unit=unit),
    }


def _write_sentence(pair: CandidateRule, *, lift: float, unit: str) -> str:
    """Return the rule as a sentence with its figures; ``unit``: what it calls a transaction."""
    condition = " and ".join(MEANING[item] for item in sorted(pair.antecedent))
    return (
        f"On {pair.feeder_id}, when {condition}, {MEANING[pair.consequent]} in {pair.with_both} of "
        f"{pair.with_antecedent} {unit} ({100 * pair.confidence:.0f} %), "
        f"{lift:.1f} times as often as usual."
    )
