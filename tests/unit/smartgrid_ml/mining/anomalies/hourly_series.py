"""Made-up loads by the hour, and what is found in them."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
from hypothesis import Phase, settings

from smartgrid_core.time import DAY, HOUR
from smartgrid_ml.mining.anomalies.detect import Detection, detect

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 42
SOME = settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))
"""An example takes a second: searching for a smaller one would take minutes."""
NOON = START + 30 * DAY + 12 * HOUR


def make_hourly_load(
    *, seed: int = 1, days: int = DAYS, level: float = 10.0, noise: float = 0.4
) -> np.ndarray:
    """A load with an evening, calm weekends and noise, kW, (days * 24,)."""
    rng = np.random.default_rng(seed)
    hour, day = np.arange(days * 24) % 24, np.arange(days * 24) // 24
    evening = 4 * np.exp(-(((hour - 19) / 3) ** 2))
    weekend = np.where(day % 7 >= 5, 0.8, 1.0)
    return (level + evening) * weekend + noise * rng.standard_normal(days * 24)


def to_readings(**series: np.ndarray) -> pl.DataFrame:
    """Hourly rows from START on; NaN is a reading that is missing."""
    return pl.concat(
        pl.DataFrame(
            {
                "series": name,
                "time": [START + hour * HOUR for hour in range(len(values))],
                "value": values,
            },
            schema_overrides={"time": pl.Datetime("us", "UTC")},
        ).drop_nans("value")
        for name, values in series.items()
    )


def count_hours_to(instant: datetime) -> int:
    return int((instant - START) / HOUR)


def detect_hourly(rows: pl.DataFrame, **options) -> Detection:
    return detect(rows, step=HOUR, **{"units": "kW", **options})


def get_only_anomaly(detection: Detection) -> dict:
    assert detection.anomalies.height == 1, detection.anomalies.to_dicts()
    return detection.anomalies.row(0, named=True)
