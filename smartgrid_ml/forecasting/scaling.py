"""Loads in units of their series' size, so that one model serves large and small ones."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from smartgrid_core.arrays import F64
from smartgrid_core.features.load import KEY, LOAD_FEATURES, SCALE

TARGET = "load_kw"
"""What is forecast."""


def select_known_rows(features: pl.DataFrame) -> pl.DataFrame:
    """Return rows whose load and level are known. Raises ValueError if there are none."""
    known = features.filter(pl.col(TARGET).is_finite() & (pl.col(SCALE) > 0))
    if known.is_empty():
        raise ValueError("no row with a known load and a week of history before it")
    return known


def list_input_names(features: pl.DataFrame) -> tuple[str, ...]:
    """Return the inputs in order: every numeric column but the key and the target.

    A column that is never known is one of them, so that all trainings have the same inputs.
    """
    return tuple(
        name
        for name, dtype in features.schema.items()
        if name not in (*KEY, TARGET) and dtype.is_numeric()
    )


def list_load_inputs(names: Sequence[str]) -> tuple[str, ...]:
    """Return those in the unit of the load, but SCALE, which tells large series from small ones."""
    return tuple(name for name in names if name in LOAD_FEATURES)


def scale_inputs(
    features: pl.DataFrame, *, names: Sequence[str], scaled: Sequence[str], scale: str
) -> F64:
    """Return what a model sees; columns are rounded to float32, as a served model gets them.

    Args:
        features: rows of `LoadFeatures`, loads in the unit of the series (kW).
        names: the inputs, in order.
        scaled: those of them that are divided by the size of the series.
        scale: the column with that size, in the unit of the series.

    Returns:
        float64 (rows, names); NaN where unknown.
    """
    served = features.select(pl.col(*names).cast(pl.Float32).cast(pl.Float64))
    size = read_floats(served, scale)
    columns = ((name, read_floats(served, name)) for name in names)
    return np.column_stack(
        [values / size if name in scaled else values for name, values in columns]
    )


def read_floats(frame: pl.DataFrame, name: str) -> F64:
    """Return a column as float64 (rows,); NaN where unknown.

    >>> read_floats(pl.DataFrame({"load_kw": [1, None]}), "load_kw")
    array([ 1., nan])
    """
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
