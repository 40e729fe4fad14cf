"""The golden batch inside a SavedModel: rows to ask, and what the forecaster answered."""

from pathlib import Path

import polars as pl

from smartgrid_core.errors import PublicationError
from smartgrid_core.rollout.labels import OUTPUTS

GOLDEN = Path("assets.extra") / "golden.parquet"
"""Model servers leave `assets.extra` alone; it is meant for what travels with a model."""


def write_golden(saved_model: Path, *, rows: pl.DataFrame, quantiles: pl.DataFrame) -> Path:
    """Write inputs, float32, and p10, p50, p90, kW, into the SavedModel; return the file."""
    place = saved_model / GOLDEN
    place.parent.mkdir(exist_ok=True)
    pl.concat([rows, quantiles.select(OUTPUTS)], how="horizontal").write_parquet(place)
    return place


def read_golden(saved_model: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the batch's inputs and the forecaster's quantiles of them, kW.

    Raises PublicationError for a SavedModel that carries none, or a broken one: it cannot be
    checked.
    """
    place = saved_model / GOLDEN
    if not place.is_file():
        raise PublicationError(
            f"golden batch: {saved_model} carries none; register the model with"
            " smartgrid_ml.training.train_and_register"
        )
    try:
        golden = pl.read_parquet(place)
        return golden.drop(OUTPUTS), golden.select(OUTPUTS)
    except pl.exceptions.PolarsError as error:
        raise PublicationError(
            f"golden batch: {place} cannot be read ({error}); register the model anew"
        ) from error
