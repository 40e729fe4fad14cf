"""How well a score tells attacked days from clean ones."""

import numpy as np

from smartgrid_core.arrays import F64


def compute_auc(clean: F64, attacked: F64) -> float:
    """Return the chance that an attacked row scores above a clean one; ties count half.

    >>> compute_auc(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([clean, attacked]))[len(clean) :]
    above = ranks.sum() - len(attacked) * (len(attacked) + 1) / 2
    return float(above / (len(clean) * len(attacked)))


def find_threshold(clean: F64, *, false_alarms: float) -> float:
    """Return the score that a share `false_alarms` of the clean rows exceeds."""
    return float(np.quantile(clean, 1 - false_alarms))


def compute_detection_rate(clean: F64, attacked: F64, *, false_alarms: float) -> float:
    """Return the share of attacked rows above the threshold of `false_alarms`.

    ``clean``, ``attacked``: scores, (n,); the share `false_alarms` of clean rows is above as well.
    """
    return float((attacked > find_threshold(clean, false_alarms=false_alarms)).mean())


def compute_precision(
    clean: F64,
    attacked: F64,
    *,
    k: int,
    base_rate: float,
    draws: int = 200,
    rng: np.random.Generator,
) -> float:
    """Return the share of attacked rows among the k highest scores, at a base rate.

    It is the mean over mixtures of all clean rows with attacked ones that are drawn at random.

    Args:
        clean: Scores of clean rows, (n_clean,).
        attacked: Scores of attacked rows, (n_attacked,).
        k: How many of the highest scores are looked at.
        base_rate: Share of attacked rows in a mixture, which has at least one.
        draws: Number of mixtures.
        rng: Draws the attacked rows.
    """
    n_attacked = max(1, round(len(clean) * base_rate / (1 - base_rate)))
    n_attacked = min(n_attacked, len(attacked))
    is_attacked = np.concatenate([np.zeros(len(clean), bool), np.ones(n_attacked, bool)])
    shares = []
    for _ in range(draws):
        drawn = rng.choice(attacked, size=n_attacked, replace=False)
        order = np.argsort(-np.concatenate([clean, drawn]), kind="stable")[:k]
        shares.append(is_attacked[order].mean())
    return float(np.mean(shares))
