"""Transactions that are written down, and made-up feeders and meters to mine."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from smartgrid_core.contracts.segments import ConsumerProfiles
from smartgrid_ml.mining.rules.itemsets import Transactions, build_transactions

TIRANE = ZoneInfo("Europe/Tirane")
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""


def event_rows(
    hours: dict[str, np.ndarray], *, feeder: str = "F1", first: datetime = FIRST
) -> pl.DataFrame:
    """Rows of `GridEvents`: each item in the hours, counted from the first, in which it is."""
    rows = [
        (feeder, first + timedelta(hours=int(hour)), item)
        for item, where in hours.items()
        for hour in where
    ]
    return pl.DataFrame(
        rows,
        schema={
            "feeder_id": pl.String,
            "hour_start": pl.Datetime("us", "UTC"),
            "item": pl.String,
        },
        orient="row",
    )


@pytest.fixture
def written() -> Callable[..., Transactions]:
    """Transactions by their items, one per hour."""

    def of(*rows: str) -> Transactions:
        items = sorted({item for row in rows for item in row})
        where = {item: np.array([n for n, row in enumerate(rows) if item in row]) for item in items}
        return build_transactions(event_rows(where), timezone=TIRANE)

    return of


@pytest.fixture
def made_up() -> Callable[..., pl.DataFrame]:
    """Events of a feeder whose evenings peak on some days, with or without a weak joint.

    Calm items come and go in runs, on their own; `joint` is how often a peak lets voltage down.
    """

    def of(
        *, days: int = 28, joint: float = 0.0, seed: int = 1, feeder: str = "F1", first=FIRST
    ) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        hour = np.arange(days * 24)
        clock = hour % 24
        evening = (clock >= 16) & (clock < 21)
        peak = (rng.random(days) < 0.4).repeat(24) & (clock >= 18) & (clock < 20)
        peak |= (clock == 8) & (rng.random(len(hour)) < 0.3)
        low = peak & evening & (rng.random(len(hour)) < joint)
        low |= rng.random(len(hour)) < 0.02
        cold = np.repeat(rng.random(days // 4 + 1) < 0.5, 96)[: len(hour)]
        where = {
            "evening": evening,
            "night": ~evening,
            "load_peak": peak,
            "voltage_low": low,
            "voltage_high": ~low & _runs(rng, len(hour)),
            "readings_estimated": _runs(rng, len(hour)),
            "sensor_silent": _runs(rng, len(hour)),
            "cold": cold,
            "mild": ~cold,
        }
        return event_rows(
            {item: np.flatnonzero(mask) for item, mask in where.items()},
            feeder=feeder,
            first=first,
        )

    return of


def _runs(rng: np.random.Generator, length: int) -> np.ndarray:
    """A tenth of the hours, in runs of five."""
    starts = rng.random(length) < 0.02
    return np.convolve(starts, np.ones(5))[:length] > 0


DAY = date(2026, 2, 1)


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
def made_up_meters() -> Callable[..., pl.DataFrame]:
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
