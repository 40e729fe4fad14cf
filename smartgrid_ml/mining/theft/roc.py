"""How well a score tells attacked days from clean ones."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def compute_auc(clean: Floats, attacked: Floats) -> float:
    """The chance that an attacked row scores above a clean one; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([clean, attacked]))[len(clean) :]
    above = ranks.sum() - len(attacked) * (len(attacked) + 1) / 2
    return float(above / (len(clean) * len(attacked)))


def find_threshold(clean: Floats, *, false_alarms: float) -> float:
    """The score that a share `false_alarms` of the clean rows exceeds."""
    return float(np.quantile(clean, 1 - false_alarms))


def compute_detection_rate(clean: Floats, attacked: Floats, *, false_alarms: float) -> float:
    """Share of attacked rows above the score that a share `false_alarms` of clean ones exceeds."""
    return float((attacked > find_threshold(clean, false_alarms=false_alarms)).mean())


def compute_precision(
    clean: Floats,
    attacked: Floats,
    *,
    k: int,
    base_rate: float,
    draws: int = 200,
    rng: np.random.Generator,
) -> float:
    """Share of attacked rows among the k highest scores, at a base rate of attacked rows.

    The mean over `draws` mixtures of all clean rows and so many attacked ones, drawn at random, as
    make the base rate (at least one).
    """
    hidden = max(1, round(len(clean) * base_rate / (1 - base_rate)))
    hidden = min(hidden, len(attacked))
    is_attacked = np.concatenate([np.zeros(len(clean), bool), np.ones(hidden, bool)])
    found = []
    for _ in range(draws):
        some = rng.choice(attacked, size=hidden, replace=False)
        order = np.argsort(-np.concatenate([clean, some]), kind="stable")[:k]
        found.append(is_attacked[order].mean())
    return float(np.mean(found))
