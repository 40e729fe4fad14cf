"""Weights of an ensemble, found on forecasts that its members made of days they had not seen."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from smartgrid_core.arrays import F64
from smartgrid_ml.evaluation.metrics import QUANTILE_COLUMNS
from smartgrid_ml.forecasting.protocol import QUANTILES

STEPS = 40
"""Weights are multiples of 1/40: finer ones fit noise."""

ENOUGH_ROWS = 0.9
"""A model that answers fewer of the rows than the fullest one is no member."""

KEY = ["series", "issue_time", "time"]
"""What one forecast hour is."""


def find_blend_weights(forecasts: pl.DataFrame) -> dict[str, float]:
    """Return weights by model, positive and summing to 1, that make the mean pinball loss least.

    `forecasts` as in `Backtest.forecasts`, of several models for the same hours. Greedy forward
    selection with replacement, from the best single model on (Caruana, Niculescu-Mizil, Crew and
    Ksikes, 2004, Ensemble selection from libraries of models, ICML): each step adds the model with
    which the mean of all chosen so far loses least. Empty if nothing can be scored.
    """
    names, answers, actual = _collect_answers(forecasts)
    if not len(actual):
        return {}
    chosen = [int(np.argmin([_compute_loss(answer, actual) for answer in answers]))]
    total = answers[chosen[0]].copy()  # sum of the chosen answers, (rows, 3)
    least, n_kept = _compute_loss(total, actual), 1
    for step in range(2, STEPS + 1):
        losses = [_compute_loss((total + answer) / step, actual) for answer in answers]
        pick = int(np.argmin(losses))
        chosen.append(pick)
        total += answers[pick]
        if losses[pick] < least:
            least, n_kept = losses[pick], step
    kept = chosen[:n_kept]
    return {names[at]: kept.count(at) / len(kept) for at in sorted(set(kept))}


def blend_forecasts(
    forecasts: pl.DataFrame, *, weights: Mapping[str, float], name: str
) -> pl.DataFrame:
    """Return the weighted mean of the members' quantiles, as rows of model `name`.

    An hour for which a member has no forecast has none. Of the hour that autumn repeats, which
    bears one time here, the first actual counts.
    """
    weighted = forecasts.filter(pl.col("model").is_in(list(weights))).with_columns(
        weight=pl.col("model").replace_strict(dict(weights), return_dtype=pl.Float64)
    )
    is_complete = pl.col("model").n_unique() == len(weights)
    means = [
        pl.when(is_complete & (pl.col(column).null_count() == 0))
        .then((pl.col(column) * pl.col("weight")).sum() / pl.col("weight").sum())
        .alias(column)
        for column in QUANTILE_COLUMNS.values()
    ]
    return (
        weighted.group_by([*KEY, "lead_hours"], maintain_order=True)
        .agg(*means, actual=pl.col("actual").first())
        .with_columns(model=pl.lit(name))
        .select(forecasts.columns)
    )


def _collect_answers(
    forecasts: pl.DataFrame,
) -> tuple[list[str], list[F64], F64]:
    """Return models, their quantiles and the actuals, for hours that all of them answered.

    Quantiles are float64 (rows, 3) for each model, actuals float64 (rows,).
    """
    known = forecasts.drop_nulls(["actual", *QUANTILE_COLUMNS.values()])
    counts = known.group_by("model").len().sort("model")
    if counts.is_empty():
        return [], [], np.zeros(0)
    fullest = int(counts["len"].max() or 0)  # type: ignore[arg-type] # a count is a number
    names: list[str] = counts.filter(pl.col("len") >= ENOUGH_ROWS * fullest)["model"].to_list()
    able = known.filter(pl.col("model").is_in(names))
    common = able.filter(pl.len().over(KEY) == len(names)).sort([*KEY, "model"])
    columns: Sequence[str] = list(QUANTILE_COLUMNS.values())
    answers = [common.filter(pl.col("model") == name).select(columns).to_numpy() for name in names]
    actual = common.filter(pl.col("model") == names[0])["actual"].to_numpy()
    return names, answers, actual


def _compute_loss(answer: F64, actual: F64) -> float:
    """Return the mean pinball loss of quantiles (rows, 3) of actuals (rows,)."""
    error = actual[:, np.newaxis] - answer
    level = np.array(QUANTILES)
    return float(np.maximum(level * error, (level - 1) * error).mean())
