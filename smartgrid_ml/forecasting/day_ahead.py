"""The day-ahead forecast: through the served model, or by the best naive row where none answers."""

from datetime import datetime

import polars as pl

from smartgrid_core.contracts.forecasts import LoadForecasts
from smartgrid_core.errors import ModelUnavailableError
from smartgrid_core.features.load import FEATURES
from smartgrid_core.ports import ModelServer
from smartgrid_core.serving import STABLE
from smartgrid_ml.evaluation.leaderboard import newest
from smartgrid_ml.evaluation.metrics import ALL
from smartgrid_ml.forecasting.catalogue import NAIVE_ROWS, forecaster

MODEL = "load_forecaster"
"""The name under which the registry keeps the forecaster and the model server answers."""


def best_naive(leaderboard: pl.DataFrame) -> str:
    """The naive row with the least pinball loss over all series of the newest backtest.

    Without any backtest it is `naive_168h`: it needs one week and knows weekdays from Sundays.
    """
    naive = newest(leaderboard).filter(
        pl.col("series") == ALL, pl.col("model").is_in(NAIVE_ROWS), pl.col("pinball").is_not_null()
    )
    if naive.is_empty():
        return "naive_168h"
    return str(naive.sort("pinball", "model")["model"].item(0))


def day_ahead(
    features: pl.DataFrame,
    *,
    server: ModelServer,
    history: pl.LazyFrame,
    stand_in: str,
    now: datetime,
) -> pl.DataFrame:
    """Rows of `LoadForecasts` for rows of `LoadFeatures`; P10, P50, P90 in kW.

    Asked is the version with the label stable. `history` are earlier rows of `LoadFeatures`, read
    only if the naive row `stand_in` has to answer: its band is that of its own past errors.
    """
    keys = features.select("feeder_id", "issue_time", "hour_start", "lead_hours")
    try:
        answer = server.predict(
            MODEL,
            {name: features[name].cast(pl.Float32).to_numpy() for name in FEATURES},
            label=STABLE,
        )
    except ModelUnavailableError:
        known = history.filter(pl.col("load_kw").is_not_null()).collect()
        quantiles = forecaster(stand_in).fit(known).predict(features)
        model, answered_by = stand_in, None
    else:
        quantiles, model, answered_by = answer.frame, answer.model, answer.model_version
    rows = keys.with_columns(
        *quantiles.select("p10", "p50", "p90").cast(pl.Float64),
        model=pl.lit(model),
        model_version=pl.lit(answered_by, dtype=pl.String),
        variant=pl.lit(STABLE if answered_by else None, dtype=pl.String),
        created_at=pl.lit(now).cast(pl.Datetime("us", "UTC")),
    )
    return LoadForecasts.validate(rows.drop_nulls("p50"), cast=True)
