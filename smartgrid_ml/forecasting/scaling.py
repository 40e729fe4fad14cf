"""Loads in units of their series' size, so that one model serves large and small ones."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from smartgrid_core.features.load import KEY, LOAD_FEATURES, SCALE

FloatArray = npt.NDArray[np.float64]

TARGET = "load_kw"


def select_known_rows(features: pl.DataFrame) -> pl.DataFrame:
    """Rows whose load and level are known. Raises ValueError if there are none."""
    known = features.filter(pl.col(TARGET).is_finite() & (pl.col(SCALE) > 0))
    if known.is_empty():
        raise ValueError("no row with a known load and a week of history before it")
    return known


def list_input_names(features: pl.DataFrame) -> tuple[str, ...]:
    """Inputs in order: every numeric column but the key and the target, also if never known."""
    return tuple(
        name
        for name, dtype in features.schema.items()
        if name not in (*KEY, TARGET) and dtype.is_numeric()
    )


def list_load_inputs(names: Sequence[str]) -> tuple[str, ...]:
    """Those in the unit of the load, but SCALE, which tells large series from small ones."""
    return tuple(name for name in names if name in LOAD_FEATURES)


def scale_inputs(
    features: pl.DataFrame, *, names: Sequence[str], scaled: Sequence[str], scale: str
) -> FloatArray:
    """What a model sees: float64 (rows, names), NaN where unknown.

    Columns are rounded to float32, as a served model gets them; `scaled` are divided by `scale`.
    """
    served = features.select(pl.col(*names).cast(pl.Float32).cast(pl.Float64))
    size = read_floats(served, scale)
    return np.column_stack(
        [
            read_floats(served, name) / size if name in scaled else read_floats(served, name)
            for name in names
        ]
    )


def read_floats(frame: pl.DataFrame, name: str) -> FloatArray:
    """A column as float64 (rows,), NaN where unknown."""
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
