"""The proof that an export answers as its forecaster does, and the rows to ask both."""

from pathlib import Path

import numpy as np
import polars as pl

from smartgrid_core.errors import PublicationError
from smartgrid_core.features.load import SCALES
from smartgrid_core.rollout.labels import OUTPUTS
from smartgrid_ml.export.artifact.signature import load_signature
from smartgrid_ml.forecasting.protocol import ServableForecaster


def select_golden_batch(
    features: pl.DataFrame, *, inputs: tuple[str, ...], n: int = 32
) -> pl.DataFrame:
    """Return `n` rows spread evenly over series, issue times and leads; always the same ones.

    Columns `inputs`, float32, NaN where unknown: exactly what goes over the wire, so that the
    forecaster asked offline with this frame decides every split on the same number. Rows without
    forecast (no level) are left out. Raises PublicationError if no row is left.
    """
    rows = as_served(
        features.filter(pl.col("level_kw") > 0).sort("feeder_id", "issue_time", "hour_start"),
        inputs=inputs,
    )
    if rows.is_empty():
        raise PublicationError("golden batch: no row of the features has a level to forecast from")
    places = np.unique(np.linspace(0, rows.height - 1, n).round().astype(int))
    return rows[places]


def as_served(features: pl.DataFrame, *, inputs: tuple[str, ...]) -> pl.DataFrame:
    """Return the columns as a served model gets them: float32, NaN where unknown.

    >>> as_served(pl.DataFrame({"level_kw": [1, None]}), inputs=("level_kw",))["level_kw"].to_list()
    [1.0, nan]
    """
    return features.select(pl.col(name).cast(pl.Float32).fill_null(np.nan) for name in inputs)


def make_hard_rows(served: pl.DataFrame, *, n: int, seed: int = 1) -> pl.DataFrame:
    """Return `n` rows of `as_served` to test an export with: half as they are, half made hard.

    The first half are the newest ones given. In the second a tenth of the values is unknown, and
    some are zero, or a thousand times too large, to either side; scales stay positive or unknown.
    """
    random = np.random.default_rng(seed)
    newest = served.tail(n // 2)
    drawn = served.sample(n - newest.height, with_replacement=True, seed=seed)
    # each change hits its share of the values, (n / 2, columns)
    values = drawn.to_numpy().astype(np.float32)
    for share, change in ((0.02, 1e3), (0.02, -1e3), (0.03, 0.0), (0.1, np.nan)):
        hit = random.random(values.shape) < share
        values = np.where(hit, values * np.float32(change), values)
    changed = pl.DataFrame(values, schema=served.columns)
    positive = [name for name in SCALES if name in served.columns]
    hard = changed.with_columns(
        pl.when(changed[name] > 0)
        .then(changed[name])
        .otherwise(pl.lit(np.nan, pl.Float32))
        .alias(name)
        for name in positive
    )
    return pl.concat([newest, hard.cast(pl.Float32)])


def ask_saved_model(saved_model: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """Return p10, p50, p90 of rows of `as_served`, float32; NaN for a row without forecast.

    Raises PublicationError with the cause if it cannot be loaded or does not answer.
    """
    return load_signature(saved_model).answer(rows)


def check_export_parity(
    forecaster: ServableForecaster,
    saved_model: Path,
    *,
    rows: pl.DataFrame,
    tolerance: float = 1e-4,
) -> float:
    """Return the largest relative difference of the SavedModel's answers to the forecaster's.

    The difference is |exported - offline| / max(1, |offline|) over p10, p50, p90; a row without
    forecast has none on both sides.

    Args:
        forecaster: fitted, the model that was exported.
        saved_model: the folder of its export.
        rows: what both are asked, made by `as_served`.
        tolerance: the largest difference that is allowed, 1.

    Returns:
        The difference, at most `tolerance`.

    Raises:
        PublicationError: If a difference exceeds `tolerance`; it names the worst row.
    """
    exported = ask_saved_model(saved_model, rows).to_numpy().astype(np.float64)
    offline = forecaster.predict(rows).select(pl.col(OUTPUTS).fill_null(np.nan)).to_numpy()
    with np.errstate(invalid="ignore"):  # infinite on both sides is equal, on one side infinite
        apart = np.abs(exported - offline) / np.maximum(1.0, np.abs(offline))
    equal = (exported == offline) | (np.isnan(exported) & np.isnan(offline))
    apart = np.where(equal, 0.0, np.where(np.isnan(apart), np.inf, apart))
    row, output = np.unravel_index(int(apart.argmax()), apart.shape)
    worst = float(apart[row, output])
    if worst > tolerance:
        raise PublicationError(
            f"export: {OUTPUTS[output]} of row {row} is {exported[row, output]} exported and"
            f" {offline[row, output]} offline, apart by {worst:.3g} of {tolerance:g} allowed"
        )
    return worst
