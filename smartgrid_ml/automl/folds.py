"""The folds on which every engine scores its trials, and samples of long tables."""

import numpy as np

from smartgrid_core.errors import SmartGridError
from smartgrid_ml.automl.trials import INNER_FOLDS
from smartgrid_ml.forecasting.point import Rows


def split_inner_folds(rows: Rows, *, engine: str) -> list[tuple[Rows, Rows]]:
    """Return per fold the rows to train on and the later ones to score on, the earliest fold first.

    Raises SmartGridError naming the engine if the rows are of too few issue times.
    """
    folds = list(rows.split_folds(INNER_FOLDS))
    if not folds:
        raise SmartGridError(
            f"{engine}: the rows are of too few issue times for a fold to score on"
        )
    return folds


def draw_rows(rows: Rows, *, most: int, random: np.random.Generator) -> Rows:
    """Return `most` of the rows, drawn at random, in their order; all of them if they are fewer."""
    if len(rows) <= most:
        return rows
    return rows.select(np.sort(random.choice(len(rows), most, replace=False)))
