"""Whether the rules bring back the one that the demo's ground truth plants."""

from dataclasses import dataclass

import polars as pl

from smartgrid_core.time import Window
from smartgrid_core.topology import map_nodes_to_feeders

JOINT_KIND = "weak_joint"
ANTECEDENT, CONSEQUENT = "evening & load_peak", "voltage_low"
"""What the joint does: it gives way when its feeder's evening peaks, and voltage drops."""

GENERAL_ANTECEDENT = "load_peak"
"""The same rule where hours are taken together in shifts, which have no evening, and where nearly
every peak lies in the evening: then the evening adds nothing and is pruned."""

LEAST_EPISODES = 10
"""On fewer evenings the rule is there, but no honest test can tell it from chance."""


@dataclass(frozen=True, slots=True)
class PlantedRule:
    """A feeder with a weak joint."""

    feeder_id: str
    episodes: int
    """How often the joint gave way within the window."""
    rank: int | None
    """The best rank of a rule about it; None for no rule."""


def find_planted_rules(
    rules: pl.DataFrame,
    *,
    planted: pl.DataFrame,
    topology: pl.DataFrame | pl.LazyFrame,
    window: Window,
) -> list[PlantedRule]:
    """Return an entry per feeder whose joint gave way on enough evenings, by feeder.

    Args:
        rules: Rows of `EventRules` of one window.
        planted: Rows of `PlantedFaults`.
        topology: Rows of `GridTopology`.
        window: The window of the rules.
    """
    within = planted.filter(
        pl.col("kind") == JOINT_KIND,
        pl.col("start_time") < window.end,
        pl.col("end_time") > window.start,
    )
    places = map_nodes_to_feeders(topology).rename({"node_id": "subject_id"})
    episodes = within.join(places, on="subject_id").group_by("feeder_id").len().sort("feeder_id")
    its_own = rules.filter(
        pl.col("antecedent").is_in([ANTECEDENT, GENERAL_ANTECEDENT]),
        pl.col("consequent") == CONSEQUENT,
    )
    ranks = dict(its_own.group_by("feeder_id").agg(pl.col("rank").min()).iter_rows())
    return [
        PlantedRule(feeder_id, count, ranks.get(feeder_id))
        for feeder_id, count in episodes.iter_rows()
        if count >= LEAST_EPISODES
    ]
