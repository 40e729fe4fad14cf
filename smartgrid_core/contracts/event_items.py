"""The vocabulary of grid events: which items there are, which belong together, which matter."""

from smartgrid_core.contracts.readings import FINDING_KINDS

FINDING_PREFIX = "finding_"

FAMILIES: dict[str, dict[str, str]] = {
    "voltage": {
        "voltage_low": "voltage is below the band",
        "voltage_high": "voltage is above the band",
    },
    "supply": {"outage": "supply is interrupted"},
    "load": {
        "load_peak": "the load peaks",
        "reverse_flow": "power flows back",
        "ramp_up": "the load rises steeply",
        "ramp_down": "the load falls steeply",
    },
    "silence": {
        "meters_silent": "meters are silent",
        "sensor_silent": "a sensor is silent",
    },
    "estimation": {"readings_estimated": "readings are estimated"},
    "alarm": {
        "limit_exceedance": "the rating is forecast to be exceeded",
        "alert": "an alert is opened",
    },
    "finding": {
        f"{FINDING_PREFIX}{kind}": f"readings show a {kind.replace('_', ' ')}"
        for kind in FINDING_KINDS
    },
    "temperature": {
        "freezing": "it freezes",
        "cold": "it is cold",
        "mild": "it is mild",
        "hot": "it is hot",
    },
    "hour": {
        "night": "it is night",
        "morning": "it is morning",
        "midday": "it is midday",
        "evening": "it is evening",
    },
    "weekday": {
        "workday": "it is a workday",
        "saturday": "it is Saturday",
        "sunday_or_holiday": "it is Sunday or a holiday",
    },
}
"""Items by the quantity that they are made of, with their words; a rule holds one of a family."""

ITEMS = tuple(item for members in FAMILIES.values() for item in members)
"""All items, family by family."""
FAMILY_OF = {item: family for family, members in FAMILIES.items() for item in members}
"""Family of each item."""

MEANING = {item: words for members in FAMILIES.values() for item, words in members.items()}
"""Words of each item, for sentences."""

LINKS: tuple[tuple[str, str, str], ...] = (
    ("voltage", "supply", "an interruption is a voltage that is gone"),
    ("voltage", f"{FINDING_PREFIX}voltage_sag", "a sag is a voltage below the band"),
    ("supply", f"{FINDING_PREFIX}voltage_sag", "an interruption is a deep sag"),
    ("supply", "silence", "what has no supply reports nothing"),
    ("supply", "load", "what has no supply draws nothing"),
    ("silence", "estimation", "what is silent is estimated"),
    ("silence", "finding", "silence is a finding"),
    ("estimation", "finding", "faulty readings are estimated"),
    ("load", "alarm", "exceedances are forecast from the load, alerts follow from them"),
    ("hour", "weekday", "both are read off the clock"),
)
"""Families or items that go together by definition, and why: never on the two sides of a rule."""

CONSEQUENTS: dict[str, float] = {
    "outage": 1.0,
    "voltage_low": 0.9,
    "limit_exceedance": 0.8,
    "alert": 0.8,
    "load_peak": 0.6,
    "voltage_high": 0.6,
    "reverse_flow": 0.4,
    "meters_silent": 0.3,
    "sensor_silent": 0.3,
}
"""What an operator acts on, and how much it weighs in the ranking: customers without supply first,
then what harms their devices, then what harms the grid's, then what harms the data."""

_LINKED = frozenset(
    frozenset(pair) for first, second, _ in LINKS for pair in ((first, second), (second, first))
)


def are_linked(item: str, other: str) -> bool:
    """Return whether two items are of one family or linked by LINKS.

    Raises KeyError for a name that is not one of ITEMS.

    >>> are_linked("outage", "voltage_low"), are_linked("evening", "load_peak")
    (True, False)
    """
    family, other_family = FAMILY_OF[item], FAMILY_OF[other]
    return family == other_family or any(
        frozenset((first, second)) in _LINKED
        for first in (item, family)
        for second in (other, other_family)
    )


def is_sound_rule(antecedent: frozenset[str], consequent: str) -> bool:
    """Return whether a rule may be: one item per family, none linked to the consequent."""
    families = {FAMILY_OF[item] for item in antecedent}
    return len(families) == len(antecedent) and not any(
        are_linked(item, consequent) for item in antecedent
    )
