"""From meters and balances to suspects: train on some of the meters, then judge all in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from smartgrid_ml.mining.theft.attacks import ATTACKS
from smartgrid_ml.mining.theft.balance_evidence import build_node_hours, find_nearest_nodes
from smartgrid_ml.mining.theft.day_comparison import PAST_DAYS
from smartgrid_ml.mining.theft.day_model import (
    BATCH_METERS,
    TheftModel,
    TheftSettings,
    train_theft_model,
)
from smartgrid_ml.mining.theft.meter_days import Floats, MeterDays
from smartgrid_ml.mining.theft.meter_probability import ProbabilityModel, calibrate_probability
from smartgrid_ml.mining.theft.roc import compute_auc, compute_detection_rate
from smartgrid_ml.mining.theft.suspects import SUSPECT_SCHEMA, BalancedGrid, build_suspects

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
    """What came of looking at a grid: rows of SUSPECTS of all meters, and what judged them.

    ``figures``: of days and of meters that the trees have not seen; ``by_kind``: columns attack,
    day_auc, day_detection (at 5 % false alarms), meter_auc.
    """

    suspects: pl.DataFrame
    figures: dict[str, float]
    by_kind: pl.DataFrame
    model: TheftModel


def inspect_grid(
    read: ReadMeters,
    *,
    meter_ids: Sequence[str],
    places: pl.DataFrame,
    hours: pl.DataFrame,
    context: Floats,
    timezone: ZoneInfo,
    settings: TheftSettings | None = None,
) -> GridInspection | None:
    """Judge the last JUDGED_DAYS of every meter; None if there is too little to learn from.

    ``read`` gives the look-back's local days; ``places``: rows of `MeterPlaces`; ``hours``: of
    `with_losses`; ``context``: as `calendar_and_weather` gives it for these days. Never more than a
    batch of meters is held at once.
    """
    settings = settings or LIST_SETTINGS
    rng = np.random.default_rng(settings.seed)
    few = min(MOST_TRAINING_METERS, len(meter_ids))
    chosen = np.sort(rng.choice(len(meter_ids), size=few, replace=False))
    learned = read([meter_ids[row] for row in chosen])
    model = (
        train_theft_model(learned, context=context, settings=settings)
        if learned.meter_ids
        else None
    )
    if model is None:
        return None
    judged = slice(max(0, len(learned.days) - JUDGED_DAYS), len(learned.days))
    first, last = learned.days[judged.start], learned.days[-1]
    nodes = build_node_hours(hours, first=first, last=last, timezone=timezone)
    grid = BalancedGrid(nodes, find_nearest_nodes(places, node_ids=nodes.node_ids))
    suspicion = calibrate_probability(
        model, learned, judged=judged, nodes=nodes, node_of=grid.node_of, seed=settings.seed
    )
    batches = [
        build_suspects(
            read(meter_ids[begin : begin + BATCH_METERS]),
            model=model,
            suspicion=suspicion,
            judged=judged,
            grid=grid,
        )
        for begin in range(0, len(meter_ids), BATCH_METERS)
    ]
    return GridInspection(
        pl.concat([pl.DataFrame(schema=SUSPECT_SCHEMA), *batches]).sort("meter_id"),
        _collect_figures(model, suspicion),
        _evaluate_attacks(model, suspicion),
        model,
    )


def find_judged_span(days: Sequence[date]) -> tuple[date, date]:
    """The first and the last of the judged local days."""
    return days[max(0, len(days) - JUDGED_DAYS)], days[-1]


def _collect_figures(model: TheftModel, suspicion: ProbabilityModel | None) -> dict[str, float]:
    clean, attacked = model.held_out[:, 0], model.held_out[:, 1:].ravel()
    of_meters = {} if suspicion is None else suspicion.figures
    return {
        "day_auc": compute_auc(clean, attacked),
        "day_detection_at_5_percent": compute_detection_rate(clean, attacked, false_alarms=0.05),
        "day_detection_at_half_percent": compute_detection_rate(
            clean, attacked, false_alarms=0.005
        ),
        "clean_days": float(len(clean)),
        **{f"meter_{name}": figure for name, figure in of_meters.items() if "auc_" not in name},
    }


def _evaluate_attacks(model: TheftModel, suspicion: ProbabilityModel | None) -> pl.DataFrame:
    clean = model.held_out[:, 0]
    of_meters = {} if suspicion is None else suspicion.figures
    return pl.DataFrame(
        [
            {
                "attack": kind,
                "day_auc": compute_auc(clean, model.held_out[:, at]),
                "day_detection": compute_detection_rate(
                    clean, model.held_out[:, at], false_alarms=0.05
                ),
                "meter_auc": of_meters.get(f"alone_auc_{kind}"),
            }
            for at, kind in enumerate(ATTACKS, start=1)
        ],
        schema_overrides={"meter_auc": pl.Float64},
    )
