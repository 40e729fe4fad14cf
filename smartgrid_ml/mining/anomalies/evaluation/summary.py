"""The figures of a detection as one nested mapping, as it is written to a file of metrics."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import fmean, median
from typing import Any

import polars as pl

from smartgrid_ml.mining.anomalies.evaluation.metrics import (
    EventFigures,
    evaluate_events,
    evaluate_rows,
    evaluate_rows_within,
    find_row_runs,
)

JUDGED = ("precision", "recall", "f1", "pr_auc", "roc_auc")

ROWS = (
    "precision, recall, f1: every row by itself, flagged against labelled; pr_auc, roc_auc and"
    " precision_at_k: the score of every row against its label"
)
SHARED_ROWS = (
    " (one label for all series: a row is a time, flagged if any series is, with its highest score)"
)
NEAR = "the same of rows, where a label or a flag one step away counts"
EVENTS = (
    "an event is an unbroken run of labelled rows, an alarm one of flagged rows; an event is found"
    " and an alarm right if they touch, one step away at most"
)
DELAY = "seconds from an event's first labelled row to the first flagged one, of found events"


def summarise_detection(
    rows: pl.DataFrame, *, step: timedelta, shared_label: bool, label: str | None
) -> dict[str, Any]:
    """Return the figures of rows, of events and of each series; all None without a label column.

    Args:
        rows: series, time, label, flag, score, one row per (series, time); rows whose label is null
            are not judged.
        step: How far a row may be off in the figures that allow it.
        shared_label: Whether the series of a time have one label together.
        label: Name of the label's column; None if there is none.

    Returns:
        Figures by name, nested, as they are written to metrics.json.
    """
    if label is None:
        return {
            **dict.fromkeys(JUDGED),
            "precision_at_k": {},
            "detection_delay": None,
            "labels": None,
            "within_one_step": None,
            "by_event": None,
            "by_series": {},
            "basis": "no label column was given (--label): nothing to judge by",
        }
    known = rows.filter(pl.col("label").is_not_null())
    several = shared_label and known["series"].n_unique() > 1
    together = _merge_series(known) if several else known
    return {
        **_evaluate(together, step=step),
        "labels": label,
        "basis": ROWS + (SHARED_ROWS if several else ""),
        "by_series": {
            key[0]: _evaluate(group, step=step)
            for key, group in known.sort("series", "time").group_by("series", maintain_order=True)
        },
    }


def _merge_series(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per time: labelled and flagged if any series is, with the highest score."""
    return (
        rows.group_by("time")
        .agg(pl.col("label", "flag").any(), pl.col("score").max())
        .with_columns(series=pl.lit(""))
    )


def _evaluate(rows: pl.DataFrame, *, step: timedelta) -> dict[str, Any]:
    """Return the figures of rows and events of these rows."""
    figures = evaluate_rows(
        rows["label"].to_numpy(),
        rows["flag"].to_numpy(),
        rows["score"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
    )
    near = evaluate_rows_within(rows, within=step)
    events = evaluate_events(
        find_row_runs(rows, "label"), find_row_runs(rows, "flag"), early=step, late=step
    )
    return {
        **{name: getattr(figures, name) for name in JUDGED},
        "precision_at_k": {str(k): share for k, share in figures.precision_at.items()},
        "detection_delay": _describe_delays(events),
        "rows": figures.rows,
        "labelled_rows": figures.labelled,
        "flagged_rows": figures.flagged,
        "within_one_step": {
            "precision": near.precision,
            "recall": near.recall,
            "f1": near.f1,
            "basis": NEAR,
        },
        "by_event": _describe_events(events),
    }


def _describe_events(events: EventFigures) -> dict[str, Any]:
    return {
        "events": events.events,
        "found": events.found,
        "alarms": events.alarms,
        "true_alarms": events.true_alarms,
        "precision": events.precision,
        "recall": events.recall,
        "f1": events.f1,
        "basis": EVENTS,
    }


def _describe_delays(events: EventFigures) -> dict[str, Any]:
    """Return mean, median and largest delay, seconds; a flag a step before an event is no delay."""
    seconds: Sequence[float] = [max(0.0, delay.total_seconds()) for delay in events.delays]
    figures: Mapping[str, float | None] = {
        "mean_s": fmean(seconds) if seconds else None,
        "median_s": median(seconds) if seconds else None,
        "max_s": max(seconds, default=None),
    }
    return {"events": events.events, "found": events.found, **figures, "basis": DELAY}
