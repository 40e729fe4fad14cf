"""What a SavedModel is like to serve: how fast, how large, and whether its answers are the same."""

import time
from pathlib import Path

import numpy as np
import polars as pl

from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.evaluation.losses import compute_losses_by_issue
from smartgrid_ml.export.artifact.golden import read_golden
from smartgrid_ml.export.artifact.parity import as_served, ask_saved_model
from smartgrid_ml.export.artifact.signature import load_signature
from smartgrid_ml.promotion.gate import Artifact

TIMED_ROWS = 1_000

TIMED_CALLS = 10
"""The fastest of ten calls counts: other work on the machine only ever adds to what one takes."""


def measure_artifact(saved_model: Path) -> Artifact:
    """Return how fast, large and true a SavedModel is, loaded and asked as a server does.

    The rows are the golden ones over and over. Raises PublicationError for one without them, or
    that does not answer them.
    """
    rows, offline = read_golden(saved_model)
    signature = load_signature(saved_model)
    timed_rows = rows[np.arange(TIMED_ROWS) % rows.height]
    signature.answer(timed_rows)
    seconds = []
    for _ in range(TIMED_CALLS):
        started = time.perf_counter()
        signature.answer(timed_rows)
        seconds.append(time.perf_counter() - started)
    size = sum(file.stat().st_size for file in saved_model.rglob("*") if file.is_file())
    return Artifact(
        answer_ms=1000 * min(seconds),
        size_mb=size / 1e6,
        golden_difference=compute_golden_difference(signature.answer(rows), offline),
    )


def compute_golden_difference(served: pl.DataFrame, offline: pl.DataFrame) -> float:
    """Return the largest |served - offline| / max(1, |offline|); infinite if either is not finite.

    >>> offline = pl.DataFrame({"p10": [1.0], "p50": [2.0], "p90": [4.0]})
    >>> compute_golden_difference(offline.with_columns(p90=pl.lit(5.0)), offline)
    0.25
    """
    left = served.select(pl.col(OUTPUTS).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    right = offline.select(pl.col(OUTPUTS).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    with np.errstate(invalid="ignore"):
        difference = np.abs(left - right) / np.maximum(1.0, np.abs(right))
    return float(np.where(np.isfinite(difference), difference, np.inf).max())


def compute_saved_model_losses(saved_model: Path, features: pl.DataFrame) -> pl.DataFrame:
    """Return a table of losses of a SavedModel's answers for rows of `LoadFeatures`.

    Rows without truth are not asked. Its inputs are the columns of its golden batch.
    """
    known = features.filter(pl.col("load_kw").is_not_null())
    inputs = tuple(read_golden(saved_model)[0].columns)
    keys = known.select("issue_time", series="feeder_id", actual="load_kw")
    if known.is_empty():
        answers = pl.DataFrame(schema=dict.fromkeys(OUTPUTS, pl.Float64))
    else:
        answers = ask_saved_model(saved_model, as_served(known, inputs=inputs))
    return compute_losses_by_issue(pl.concat([keys, answers.cast(pl.Float64)], how="horizontal"))
