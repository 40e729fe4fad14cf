"""Tables of grid events: what happened per feeder and hour, what goes together, how that moves."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc
from smartgrid_core.contracts.event_items import CONSEQUENTS, ITEMS

ITEM_SEPARATOR = " & "
"""Stands between the items of an itemset, which are in alphabetical order."""

RULE_CHANGES = ("new", "gone", "stronger", "weaker", "steady")


class GridEvents(dy.Schema):
    """One row per (feeder_id, hour_start, item): the items of an hour are its transaction.

    Every hour of a feeder has at least the items of the clock.
    """

    feeder_id = identifier(primary_key=True, description="The feeder.")
    hour_start = utc(primary_key=True, description="Start of the hour, UTC.")
    item = one_of(
        *ITEMS,
        primary_key=True,
        description=(
            "What happened, or what hour it was; `smartgrid_core/contracts/event_items.py` gives "
            "its words."
        ),
    )


class EventItemsets(dy.Schema):
    """One row per (day, feeder_id, items): an itemset frequent in the window up to `day`."""

    day = dy.Date(primary_key=True, description="The last UTC day of the window.")
    feeder_id = identifier(primary_key=True, description="The feeder.")
    items = identifier(
        primary_key=True, description='The items in alphabetical order, joined by " & ".'
    )
    length = dy.Int32(min=1, description="How many items there are.")
    transactions = dy.Int64(
        min=1, description="Hours (or shifts) of the window in which all of them stood."
    )
    support = dy.Float64(
        min=0, max=1, description="Share of the feeder's hours (or shifts) that these are, 0 to 1."
    )


class EventRules(dy.Schema):
    """One row per (day, feeder_id, antecedent, consequent): a rule of the window up to `day`."""

    day = dy.Date(primary_key=True, description="The last UTC day of the window.")
    feeder_id = identifier(primary_key=True, description="The feeder.")
    antecedent = identifier(
        primary_key=True,
        description='The items of the condition in alphabetical order, joined by " & ".',
    )
    consequent = one_of(*CONSEQUENTS, primary_key=True, description="The item that goes with them.")
    rank = dy.Int32(min=1, description="Place among the rules of all feeders, from 1, by `score`.")
    score = dy.Float64(
        min=0,
        description=(
            "How much an operator should care: the weight of the consequent times the lower 95 % "
            "bound of the confidence less the consequent's usual share; 0 where that is negative."
        ),
    )
    transactions = dy.Int64(min=1, description="Hours (or shifts) of the feeder in the window.")
    with_antecedent = dy.Int64(
        min=1, description="Of these, those with all items of the antecedent."
    )
    with_consequent = dy.Int64(min=1, description="Of these, those with the consequent.")
    with_both = dy.Int64(min=1, description="Of these, those with both.")
    support = dy.Float64(min=0, max=1, description="with_both / transactions, 0 to 1.")
    confidence = dy.Float64(min=0, max=1, description="with_both / with_antecedent, 0 to 1.")
    lift = dy.Float64(
        min=0, description="The confidence over the consequent's share of all transactions."
    )
    leverage = dy.Float64(
        min=-1, max=1, description="The support less what it would be if both were independent."
    )
    conviction = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "(1 - the consequent's share) / (1 - confidence); null where the confidence is 1."
        ),
    )
    design_effect = dy.Float64(
        min=1,
        description=(
            "By how much hours and days in a row, which do not stand for themselves, widen the "
            "count of both; at least 1."
        ),
    )
    p_value = dy.Float64(
        min=0,
        max=1,
        description=(
            "p-value of Fisher's exact test, one-sided and against the same hours of other days, "
            "its chi-square divided by `design_effect`."
        ),
    )
    q_value = dy.Float64(
        min=0,
        max=1,
        description="The same under control of the false discovery rate over all feeders.",
    )
    feeders = dy.Int32(min=1, description="Feeders with the same rule.")
    sentence = dy.String(description="The rule for people, with its figures.")


class EventRuleChanges(dy.Schema):
    """One row per (day, feeder_id, antecedent, consequent) that is a rule of a window or was one.

    The window whose last day is `day` against the equally long one before it. What is a rule now
    and was none is new, the other way round gone, and what was one in both is stronger or weaker,
    each only if the confidences differ at the false discovery rate; the rest is steady.
    """

    day = dy.Date(primary_key=True, description="The last UTC day of the window.")
    feeder_id = identifier(primary_key=True, description="The feeder.")
    antecedent = identifier(
        primary_key=True,
        description='The items of the condition in alphabetical order, joined by " & ".',
    )
    consequent = one_of(*CONSEQUENTS, primary_key=True, description="The item that goes with them.")
    change = one_of(
        *RULE_CHANGES, description="How the rule moved from the window before to this one."
    )
    confidence = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description=(
            "Share of the window's transactions with the antecedent that have the consequent; "
            "null where the antecedent did not occur."
        ),
    )
    confidence_before = dy.Float64(
        nullable=True, min=0, max=1, description="The same of the window before; null likewise."
    )
    with_antecedent = dy.Int64(
        min=0, description="Hours (or shifts) of the window with the antecedent."
    )
    with_antecedent_before = dy.Int64(min=0, description="The same of the window before.")
    p_value = dy.Float64(
        min=0, max=1, description="p-value of the two-sided test that both confidences are equal."
    )
    q_value = dy.Float64(
        min=0,
        max=1,
        description="The same under control of the false discovery rate over all rules.",
    )
