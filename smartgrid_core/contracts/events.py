"""Tables of grid events: what happened per feeder and hour, what goes together, how that moves."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc
from smartgrid_core.contracts.event_items import CONSEQUENTS, ITEMS

ITEM_SEPARATOR = " & "
"""Stands between the items of an itemset, which are in alphabetical order."""

RULE_CHANGES = ("new", "gone", "stronger", "weaker", "steady")


class GridEvents(dy.Schema):
    """One row per (feeder_id, hour_start, item): the items of an hour are its transaction.

    Every hour of a feeder has at least the items of the clock. `smartgrid_core.contracts.
    event_items` gives the words of an item.
    """

    feeder_id = identifier(primary_key=True)
    hour_start = utc(primary_key=True)
    item = one_of(*ITEMS, primary_key=True)


class EventItemsets(dy.Schema):
    """One row per (day, feeder_id, items) that is frequent in the window whose last day is `day`.

    `items` is text, joined by " & "; `length` is how many, `transactions` in how many hours (or
    shifts) they stood together, `support` the share of those.
    """

    day = dy.Date(primary_key=True)
    feeder_id = identifier(primary_key=True)
    items = identifier(primary_key=True)
    length = dy.Int32(min=1)
    transactions = dy.Int64(min=1)
    support = dy.Float64(min=0, max=1)


class EventRules(dy.Schema):
    """One row per (day, feeder_id, antecedent, consequent): a rule of the window that ends there.

    Of `transactions` hours (or shifts), `with_antecedent`, `with_consequent` and `with_both` had
    these. support, confidence, lift, leverage and conviction are theirs; conviction is null where
    the confidence is 1. `p_value` is that of Fisher's exact test, one-sided and against the same
    hours of other days, whose chi-square is divided by `design_effect`, for hours and days in a row
    do not stand for themselves; `q_value` is the same under control of the false discovery rate.
    `rank` counts from 1 over all feeders, by `score`; `feeders` had the same rule. `sentence` is
    for people.
    """

    day = dy.Date(primary_key=True)
    feeder_id = identifier(primary_key=True)
    antecedent = identifier(primary_key=True)
    consequent = one_of(*CONSEQUENTS, primary_key=True)
    rank = dy.Int32(min=1)
    score = dy.Float64(min=0)
    transactions = dy.Int64(min=1)
    with_antecedent = dy.Int64(min=1)
    with_consequent = dy.Int64(min=1)
    with_both = dy.Int64(min=1)
    support = dy.Float64(min=0, max=1)
    confidence = dy.Float64(min=0, max=1)
    lift = dy.Float64(min=0)
    leverage = dy.Float64(min=-1, max=1)
    conviction = dy.Float64(nullable=True, min=0)
    design_effect = dy.Float64(min=1)
    p_value = dy.Float64(min=0, max=1)
    q_value = dy.Float64(min=0, max=1)
    feeders = dy.Int32(min=1)
    sentence = dy.String()


class EventRuleChanges(dy.Schema):
    """One row per (day, feeder_id, antecedent, consequent) that is a rule of a window or was one.

    The window whose last day is `day` against the equally long one before it: the confidences (null
    where the antecedent did not occur) and the two-sided test of two proportions between them,
    `p_value`, under control of the false discovery rate, `q_value`. `change`: what is a rule now
    and was none is new, the other way round gone, and what was one in both is stronger or weaker,
    each only if the confidences differ at the false discovery rate; the rest is steady.
    """

    day = dy.Date(primary_key=True)
    feeder_id = identifier(primary_key=True)
    antecedent = identifier(primary_key=True)
    consequent = one_of(*CONSEQUENTS, primary_key=True)
    change = one_of(*RULE_CHANGES)
    confidence = dy.Float64(nullable=True, min=0, max=1)
    confidence_before = dy.Float64(nullable=True, min=0, max=1)
    with_antecedent = dy.Int64(min=0)
    with_antecedent_before = dy.Int64(min=0)
    p_value = dy.Float64(min=0, max=1)
    q_value = dy.Float64(min=0, max=1)
