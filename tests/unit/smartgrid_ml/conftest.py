"""Load features of a made-up grid, small enough to train on in a second."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from smartgrid_core.features.load import build_load_features

FIRST_HOUR = datetime(2024, 3, 1, tzinfo=UTC)
HOURS = 24 * 80


@pytest.fixture(scope="session")
def grid_features() -> pl.DataFrame:
    """LoadFeatures of four feeders of 50 to 200 kW, daily and weekly rhythm, 5 % noise, 50 days."""
    random = np.random.default_rng(7)
    hour = np.arange(HOURS)
    rhythm = 1 + 0.4 * np.sin(hour / 24 * 2 * np.pi) + 0.2 * np.sin(hour / 168 * 2 * np.pi)
    history = pl.concat(
        pl.DataFrame(
            {
                "feeder_id": f"F{feeder}",
                "hour_start": [FIRST_HOUR + timedelta(hours=int(h)) for h in hour],
                "load_kw": 50 * feeder * rhythm * (1 + 0.05 * random.normal(size=HOURS)),
            }
        )
        for feeder in range(1, 5)
    )
    return build_load_features(
        history,
        issue_times=[FIRST_HOUR + timedelta(days=day) for day in range(29, 79)],
        timezone="Europe/Tirane",
        country="AL",
    )
