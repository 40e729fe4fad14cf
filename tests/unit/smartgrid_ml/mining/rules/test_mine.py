"""Which rules are shown, with which figures, in which order."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from smartgrid_core.contracts.events import EventRules
from smartgrid_ml.mining.rules.changes import compare_rules
from smartgrid_ml.mining.rules.mine import RuleLimits, mine_rules
from smartgrid_ml.mining.rules.report import (
    plot_rules,
    render_changes,
    render_itemsets,
    render_rules,
)

TIRANE = ZoneInfo("Europe/Tirane")
DAY = date(2026, 2, 1)


def mined(events: pl.DataFrame, **changes):
    return mine_rules(events, day=DAY, timezone=TIRANE, **changes)


def test_a_rule_has_the_figures_of_its_hours(made_up):
    events = made_up(joint=1.0)
    best = mined(events).rules.sort("rank").row(0, named=True)

    hours = {
        item: set(events.filter(pl.col("item") == item)["hour_start"])
        for item in ("evening", "load_peak", "voltage_low")
    }
    before = hours["evening"] & hours["load_peak"]
    both, n = before & hours["voltage_low"], 28 * 24
    base, confidence = len(hours["voltage_low"]) / n, len(both) / len(before)
    assert (best["antecedent"], best["consequent"]) == ("evening & load_peak", "voltage_low")
    assert [best[name] for name in ("transactions", "with_antecedent", "with_both")] == [
        n,
        len(before),
        len(both),
    ]
    assert best["confidence"] == confidence == 1.0
    assert best["conviction"] is None
    assert best["support"] == pytest.approx(len(both) / n)
    assert best["lift"] == pytest.approx(confidence / base)
    assert best["leverage"] == pytest.approx(len(both) / n - len(before) / n * base)
    assert best["q_value"] < 1e-4
    assert best["sentence"] == (
        f"On F1, when it is evening and the load peaks, voltage is below the band in {len(both)} "
        f"of {len(before)} hours (100 %), {confidence / base:.1f} times as often as usual."
    )


def test_conviction_is_how_much_more_often_it_would_fail_by_chance(made_up):
    rules = mined(made_up(joint=0.8, days=56)).rules
    row = rules.row(by_predicate=pl.col("antecedent") == "evening & load_peak", named=True)

    base = row["with_consequent"] / row["transactions"]
    assert row["conviction"] == pytest.approx((1 - base) / (1 - row["confidence"]))


def test_without_a_joint_there_is_no_rule(made_up):
    feeders = [made_up(seed=seed, feeder=f"F{seed}") for seed in range(20)]
    found = mined(pl.concat(feeders))

    assert found.hypotheses > 500
    assert found.rules.is_empty()


def test_a_further_condition_that_adds_nothing_is_left_out(made_up):
    rules = mined(made_up(joint=1.0, days=56)).rules

    low = rules.filter(pl.col("consequent") == "voltage_low")["antecedent"].to_list()
    assert "evening & load_peak" in low
    assert "load_peak" in low
    assert not [antecedent for antecedent in low if "cold" in antecedent or "mild" in antecedent]


def test_both_algorithms_lead_to_the_same_rules(made_up):
    events = pl.concat([made_up(joint=1.0), made_up(seed=4, feeder="F2")])
    one, other = (mined(events, algorithm=each) for each in ("fpgrowth", "apriori"))

    assert one.rules.equals(other.rules)
    assert one.itemsets.equals(other.itemsets)
    assert one.hypotheses == other.hypotheses


def test_what_two_feeders_share_is_said_and_pooling_makes_no_rule(made_up):
    both = pl.concat([made_up(joint=1.0), made_up(joint=1.0, seed=2, feeder="F2")])
    shared = mined(both).rules.filter(pl.col("antecedent") == "evening & load_peak")
    assert shared["feeders"].to_list() == [2, 2]
    assert sorted(shared["feeder_id"]) == ["F1", "F2"]

    # One feeder always peaks, the same one is always low, at no time for the other's reason.
    rng = np.random.default_rng(3)
    apart = made_up(days=28).filter(pl.col("item").is_in(["evening", "night"]))
    hours = apart["hour_start"].unique().sort()
    busy = [
        pl.DataFrame({"feeder_id": "F1", "hour_start": hours.filter(chosen), "item": item})
        for item in ("load_peak", "voltage_low")
        for chosen in [pl.Series(rng.random(len(hours)) < 0.5)]
    ]
    calm = apart.with_columns(feeder_id=pl.lit("F2"))
    assert mined(pl.concat([apart, calm, *busy])).rules.is_empty()


def test_limits_are_kept(made_up):
    events = made_up(joint=0.5, days=56)
    strict = mined(events, limits=RuleLimits(min_confidence=0.9))

    assert not mined(events).rules.is_empty()
    assert strict.rules.is_empty()
    assert mined(events, limits=RuleLimits(max_items=2)).itemsets["length"].max() == 2


@pytest.mark.parametrize("items", [[], ["evening"]])
def test_nothing_or_one_item_gives_no_rules(made_up, items):
    found = mined(made_up().filter(pl.col("item").is_in(items)))

    assert found.rules.is_empty()
    assert found.itemsets["items"].to_list() == items
    assert render_rules(found.rules) == "No rule is significant."
    assert render_itemsets(found.itemsets) == "Nothing is often together."
    assert plot_rules(found.rules).axes[0].get_title() == "Rules by strength"


def test_rules_read_as_a_table_and_stand_in_a_picture(made_up):
    rules = mined(made_up(joint=1.0)).rules

    table = render_rules(rules).splitlines()
    assert table[2].startswith("| 1 | On F1, when it is evening and the load peaks,")
    assert len(table) == 2 + rules.height
    assert len(plot_rules(rules).axes[0].texts) == min(rules.height, 5)


def changes(now: pl.DataFrame, before: pl.DataFrame, **swapped) -> pl.DataFrame:
    return compare_rules(
        rules=mined(now).rules,
        rules_before=mined(before).rules,
        events=now,
        events_before=before,
        day=DAY,
        timezone=TIRANE,
    )


def of_joint(found: pl.DataFrame) -> dict[str, object]:
    return found.row(by_predicate=pl.col("antecedent") == "evening & load_peak", named=True)


def earlier(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(pl.col("hour_start") - timedelta(days=28))


def test_a_joint_that_got_loose_makes_a_new_rule_and_one_that_was_mended_ends_it(made_up):
    sound, loose = made_up(seed=2), made_up(joint=1.0)

    came, went = changes(loose, earlier(sound)), changes(sound, earlier(loose))

    assert of_joint(came)["change"] == "new"
    assert of_joint(went)["change"] == "gone"
    assert of_joint(came)["confidence"] == of_joint(went)["confidence_before"] == 1.0
    assert "| new | F1 | evening & load_peak → voltage_low | 0.0" in render_changes(came)


def test_a_rule_can_get_stronger_and_weaker(made_up):
    half, whole = made_up(joint=0.5, days=56, seed=2), made_up(joint=1.0, days=56)
    earlier_half, earlier_whole = (
        each.with_columns(pl.col("hour_start") - timedelta(days=56)) for each in (half, whole)
    )

    assert of_joint(changes(whole, earlier_half))["change"] == "stronger"
    assert of_joint(changes(half, earlier_whole))["change"] == "weaker"


def test_what_stays_is_steady_and_a_first_window_has_nothing_to_be_held_against(made_up):
    loose = made_up(joint=1.0)
    again = earlier(made_up(joint=1.0, seed=5))

    assert of_joint(changes(loose, again))["change"] == "steady"
    assert render_changes(changes(loose, again)) == "No rule has changed."
    first = of_joint(changes(loose, loose.clear()))
    assert (first["change"], first["confidence_before"], first["p_value"]) == ("steady", None, 1.0)
    assert changes(loose.clear(), loose.clear()).is_empty()


def test_the_same_events_give_the_same_table_in_any_order(made_up):
    events = made_up(joint=1.0)

    assert mined(events).rules.equals(mined(events.sample(fraction=1, shuffle=True, seed=1)).rules)
    EventRules.validate(mined(events).rules)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_support": 0.0},
        {"false_discovery_rate": 1.5},
        {"min_confidence": -0.1},
        {"max_items": 0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_limit_that_no_rule_can_be_held_to_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        RuleLimits(**wrong)
