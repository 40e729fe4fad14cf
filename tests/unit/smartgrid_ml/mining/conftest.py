"""Made-up consumers of three kinds."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from smartgrid_core.contracts.segments import ConsumerProfiles

HOUR = np.arange(24)


def around(hour: float, *, width: float) -> np.ndarray:
    """A hump around the clock."""
    apart = np.abs((HOUR - hour + 12) % 24 - 12)
    return np.exp(-((apart / width) ** 2))


KINDS = {
    "home": 0.3 + around(19, width=2.5) + 0.4 * around(8, width=1.5),
    "shop": 0.1 + around(12, width=4.0),
    "boiler": 0.2 + around(3, width=3.0),
}


@pytest.fixture
def made_up() -> Callable[..., pl.DataFrame]:
    """Rows of `ConsumerProfiles`: so many meters per kind, named `home-00` and so on."""

    def make(*, seed: int = 1, noise: float = 0.1, feed_in: int = 0, **counts: int) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        rows = []
        for kind, count in {**counts, "sun": feed_in}.items():
            base = KINDS.get(kind, around(12, width=3.0))
            for number in range(count):
                both = base * np.exp(noise * random.normal(size=(2, 24)))
                if kind == "shop":
                    both[1] *= 0.2
                both /= (5 * both[0].mean() + 2 * both[1].mean()) / 7
                week = (5 * both[0] + 2 * both[1]) / 7
                rows.append(
                    {
                        "meter_id": f"{kind}-{number:02}",
                        "window_start": datetime(2026, 1, 1, tzinfo=UTC),
                        "window_end": datetime(2026, 3, 1, tzinfo=UTC),
                        "weekday_shape": both[0],
                        "weekend_shape": both[1],
                        "mean_kw": float(random.uniform(0.2, 0.6)),
                        "variability": float(random.uniform(0.2, 0.4)),
                        "peak_hour": int(week.argmax()),
                        "night_share": float(week[:6].sum() / 24),
                        "weekend_share": float(2 * both[1].mean() / 7),
                        "midday_dip": None,
                        "is_feed_in": kind == "sun",
                        "has_feed_in": kind == "sun",
                        "coverage": 1.0,
                    }
                )
        types = {name: column.dtype for name, column in ConsumerProfiles.columns().items()}
        return ConsumerProfiles.validate(pl.DataFrame(rows, schema=types), cast=True)

    return make
