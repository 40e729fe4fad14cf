"""What sets consumers apart, in words that an operator uses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from smartgrid_core.contracts.segments import HOURS
from smartgrid_core.features.profiles import WEEKDAYS, WEEKEND_DAYS

TRAITS = ("peaks", "night", "weekend", "varies", "midday", "level")
"""Columns of `compute_traits`."""

TRAIT_WORDS = {
    "night": ("much at night", "little at night"),
    "weekend": ("weekend-heavy", "weekday-heavy"),
    "varies": ("days differ much", "days alike"),
    "midday": ("high at midday", "low at midday"),
    "peaks": ("peaky", "flat"),
    "level": ("large", "small"),
}
"""More of the trait than others, less of it."""

PARTS_OF_DAY = (
    (6, "night peak"),
    (11, "morning peak"),
    (15, "midday peak"),
    (18, "afternoon peak"),
    (22, "evening peak"),
    (24, "late-evening peak"),
)
"""The first local hour behind each part, and what a peak within it is called."""

PLAIN = 0.5
"""Half a standard deviation from everyone's mean is worth a word."""

MOST_WORDS = 3


@dataclass(frozen=True, slots=True)
class TraitScale:
    """How the traits of all meters spread."""

    mean: Mapping[str, float]
    """By trait."""
    deviation: Mapping[str, float]
    """Standard deviation by trait."""

    def standardise(self, trait: str, value: float) -> float:
        """Return the value in standard deviations from the mean; 0 where all meters are alike."""
        deviation = self.deviation[trait]
        return (value - self.mean[trait]) / deviation if deviation > 1e-9 else 0.0


def compute_traits(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return one row per row of `ConsumerProfiles`: TRAITS as numbers, and `peak_hour`.

    `peaks` is the highest hour over the mean, `midday` the mean of 11:00 to 15:00 over the mean,
    `level` the logarithm of the mean power; `night`, `weekend` and `varies` as in the contract.
    """
    weekday, weekend = (
        profiles[f"{kind}_shape"].to_numpy().reshape(-1, HOURS) for kind in ("weekday", "weekend")
    )
    week = (WEEKDAYS * weekday + WEEKEND_DAYS * weekend) / (WEEKDAYS + WEEKEND_DAYS)
    return profiles.select(
        "peak_hour",
        peaks=pl.Series(week.max(axis=1).astype(np.float64), dtype=pl.Float64),
        night="night_share",
        weekend="weekend_share",
        varies="variability",
        midday=pl.Series(week[:, 11:15].mean(axis=1).astype(np.float64), dtype=pl.Float64),
        level=pl.col("mean_kw").log(),
    )


def measure_scale(traits: pl.DataFrame) -> TraitScale:
    """Return how traits spread; ``traits``: as `compute_traits` returns them."""
    means, deviations = traits.select(TRAITS).mean(), traits.select(TRAITS).std(ddof=0)
    return TraitScale(means.row(0, named=True), deviations.row(0, named=True))


def name_peak(hour: int) -> str:
    """Return the part of the day of a peak, in words.

    >>> name_peak(18)
    'evening peak'
    """
    return next(words for end, words in PARTS_OF_DAY if hour < end)


def rank_trait_words(typical: Mapping[str, float], *, scale: TraitScale) -> list[str]:
    """Return words for the peak, then for every trait, those first that set apart most.

    ``typical``: the mean of each trait and the `peak_hour` of a segment.
    """
    apart = {trait: scale.standardise(trait, typical[trait]) for trait in TRAITS}
    by_size = sorted(TRAITS, key=lambda trait: -abs(apart[trait]))
    words = [TRAIT_WORDS[trait][0 if apart[trait] > 0 else 1] for trait in by_size]
    return [name_peak(int(typical["peak_hour"])), *words]


def count_plain_traits(typical: Mapping[str, float], *, scale: TraitScale) -> int:
    """Return how many traits are worth a word."""
    return sum(abs(scale.standardise(trait, typical[trait])) >= PLAIN for trait in TRAITS)


def choose_name(typical: Mapping[str, float], *, scale: TraitScale, taken: set[str]) -> str:
    """Return a name that no other segment has: `evening peak, little at night, weekday-heavy`.

    The peak and up to two plain traits; more words, then a number, where that is ``taken``.
    """
    words = rank_trait_words(typical, scale=scale)
    usual = 1 + min(count_plain_traits(typical, scale=scale), MOST_WORDS - 1)
    for name in _generate_names(words, usual=usual):
        if name not in taken:
            return name
    raise AssertionError("numbers never end")


def _generate_names(words: list[str], *, usual: int) -> Iterator[str]:
    """Yield the first `usual` words, then more of them, then the usual ones with a number."""
    for length in range(usual, len(words) + 1):
        yield ", ".join(words[:length])
    number = 2
    while True:
        yield f"{', '.join(words[:usual])} ({number})"
        number += 1
