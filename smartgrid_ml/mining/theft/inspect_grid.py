"""From meters and balances to suspects: train on some of the meters, then judge all in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from smartgrid_core.arrays import F32
from smartgrid_ml.mining.theft.attacks import ATTACKS
from smartgrid_ml.mining.theft.balance_evidence import (
    BalancedGrid,
    build_node_hours,
    find_nearest_nodes,
)
from smartgrid_ml.mining.theft.day_comparison import PAST_DAYS
from smartgrid_ml.mining.theft.day_model import (
    BATCH_METERS,
    TheftModel,
    TheftSettings,
    train_theft_model,
)
from smartgrid_ml.mining.theft.meter_days import MeterDays
from smartgrid_ml.mining.theft.meter_probability import ProbabilityModel, calibrate_probability
from smartgrid_ml.mining.theft.roc import compute_auc, compute_detection_rate
from smartgrid_ml.mining.theft.suspects import SUSPECT_SCHEMA, build_suspects

JUDGED_DAYS = 28
"""Four weeks: what a list looks at."""

LOOK_BACK_DAYS = PAST_DAYS + JUDGED_DAYS
"""The judged weeks, and what they are held against."""

MOST_TRAINING_METERS = 500
"""Meters to learn from: their days are as many as the trees take."""

LIST_SETTINGS = TheftSettings(trees=200, learning_rate=0.1, leaves=31)
"""A list judges weeks: it needs no tree for the last tenth of a percent of a day's score."""

ReadMeters = Callable[[Sequence[str]], MeterDays]
"""Reads the same local days of any meters; those without a whole day are left out."""


@dataclass(frozen=True, slots=True)
class GridInspection:
    """What came of looking at a grid."""

    suspects: pl.DataFrame
    """Rows of SUSPECT_SCHEMA, one per meter, by meter_id."""
    figures: dict[str, float]
    """How good the scores are on days and meters that the trees have not seen, by metric."""
    by_kind: pl.DataFrame
    """One row per attack: attack, day_auc, day_detection (at 5 % false alarms), meter_auc."""
    model: TheftModel
    """The model of days."""


def inspect_grid(
    read: ReadMeters,
    *,
    meter_ids: Sequence[str],
    places: pl.DataFrame,
    hours: pl.DataFrame,
    context: F32,
    timezone: ZoneInfo,
    settings: TheftSettings | None = None,
) -> GridInspection | None:
    """Judge the last JUDGED_DAYS of every meter, never holding more than a batch of meters.

    Args:
        read: Returns the days of the look-back of some meters.
        meter_ids: Every meter that is judged.
        places: Rows of `MeterPlaces`.
        hours: The balances by node and hour, as `add_technical_losses` returns them.
        context: Calendar and weather of the days, as `build_day_context` returns them.
        timezone: That of the local days.
        settings: Of the trees; None for LIST_SETTINGS.

    Returns:
        None if too few meters have a past to learn from.
    """
    settings = settings or LIST_SETTINGS
    learned = read(_draw_training_meters(meter_ids, seed=settings.seed))
    if not learned.meter_ids:
        return None
    model = train_theft_model(learned, context=context, settings=settings)
    if model is None:
        return None
    judged = slice(max(0, len(learned.days) - JUDGED_DAYS), len(learned.days))
    first, last = find_judged_span(learned.days)
    nodes = build_node_hours(hours, first=first, last=last, timezone=timezone)
    grid = BalancedGrid(nodes, find_nearest_nodes(places, node_ids=nodes.node_ids))
    probability_model = calibrate_probability(
        model, learned, judged=judged, grid=grid, seed=settings.seed
    )
    batches = [
        build_suspects(
            read(meter_ids[begin : begin + BATCH_METERS]),
            model=model,
            probability_model=probability_model,
            judged=judged,
            grid=grid,
        )
        for begin in range(0, len(meter_ids), BATCH_METERS)
    ]
    return GridInspection(
        pl.concat([pl.DataFrame(schema=SUSPECT_SCHEMA), *batches]).sort("meter_id"),
        _collect_figures(model, probability_model),
        _evaluate_attacks(model, probability_model),
        model,
    )


def find_judged_span(days: Sequence[date]) -> tuple[date, date]:
    """Return the first and the last judged day of the local days of a look-back."""
    return days[max(0, len(days) - JUDGED_DAYS)], days[-1]


def _draw_training_meters(meter_ids: Sequence[str], *, seed: int) -> list[str]:
    """Return at most MOST_TRAINING_METERS meters, drawn at random, in their order."""
    count = min(MOST_TRAINING_METERS, len(meter_ids))
    rows = np.random.default_rng(seed).choice(len(meter_ids), size=count, replace=False)
    return [meter_ids[row] for row in np.sort(rows)]


def _collect_figures(
    model: TheftModel, probability_model: ProbabilityModel | None
) -> dict[str, float]:
    clean, attacked = model.held_out[:, 0], model.held_out[:, 1:].ravel()
    of_meters = {} if probability_model is None else probability_model.figures
    return {
        "day_auc": compute_auc(clean, attacked),
        "day_detection_at_5_percent": compute_detection_rate(clean, attacked, false_alarms=0.05),
        "day_detection_at_half_percent": compute_detection_rate(
            clean, attacked, false_alarms=0.005
        ),
        "clean_days": float(len(clean)),
        **{f"meter_{name}": figure for name, figure in of_meters.items() if "auc_" not in name},
    }


def _evaluate_attacks(
    model: TheftModel, probability_model: ProbabilityModel | None
) -> pl.DataFrame:
    clean = model.held_out[:, 0]
    of_meters = {} if probability_model is None else probability_model.figures
    rows = [
        {
            "attack": kind,
            "day_auc": compute_auc(clean, attacked),
            "day_detection": compute_detection_rate(clean, attacked, false_alarms=0.05),
            "meter_auc": of_meters.get(f"alone_auc_{kind}"),
        }
        for kind, attacked in zip(ATTACKS, model.held_out[:, 1:].T, strict=True)
    ]
    return pl.DataFrame(rows, schema_overrides={"meter_auc": pl.Float64})
