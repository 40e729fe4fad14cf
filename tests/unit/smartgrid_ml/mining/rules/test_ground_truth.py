"""Whether rules bring back a planted joint: only where it gave way often enough."""

from datetime import date, timedelta

import polars as pl

from smartgrid_core.time import Window
from smartgrid_ml.mining.rules.ground_truth import (
    LEAST_EPISODES,
    PlantedRule,
    find_planted_rules,
)

WINDOW = Window.of_days(date(2026, 1, 5), date(2026, 2, 1))
TOPOLOGY = pl.DataFrame(
    [
        ("SUB", "substation", None),
        ("F1", "feeder", "SUB"),
        ("F2", "feeder", "SUB"),
        ("S1", "sensor", "F1"),
        ("S2", "sensor", "F2"),
    ],
    schema=["node_id", "node_kind", "parent_id"],
    orient="row",
)


def episodes(subject: str, count: int, *, kind: str = "weak_joint") -> pl.DataFrame:
    starts = [WINDOW.start + timedelta(days=day, hours=18) for day in range(count)]
    return pl.DataFrame(
        {
            "kind": kind,
            "subject_id": subject,
            "start_time": starts,
            "end_time": [start + timedelta(hours=2) for start in starts],
        }
    )


def test_a_joint_that_gave_way_often_is_held_against_the_best_rule_of_its_feeder():
    rules = pl.DataFrame(
        {
            "feeder_id": ["F1", "F1", "F2"],
            "antecedent": ["load_peak", "evening & load_peak", "cold"],
            "consequent": ["voltage_low"] * 3,
            "rank": [4, 2, 1],
        }
    )
    planted = pl.concat(
        [
            episodes("S1", LEAST_EPISODES),
            episodes("S2", LEAST_EPISODES + 1),
            episodes("S2", 3, kind="theft"),
        ]
    )
    assert find_planted_rules(rules, planted=planted, topology=TOPOLOGY, window=WINDOW) == [
        PlantedRule("F1", LEAST_EPISODES, 2),
        PlantedRule("F2", LEAST_EPISODES + 1, None),
    ]


def test_a_joint_that_seldom_gave_way_is_no_truth():
    planted = episodes("S1", LEAST_EPISODES - 1)
    rules = pl.DataFrame(
        schema={"feeder_id": pl.String, "antecedent": pl.String}
        | {"consequent": pl.String, "rank": pl.Int32}
    )
    assert find_planted_rules(rules, planted=planted, topology=TOPOLOGY, window=WINDOW) == []
