"""The weather archive is asked about the last days, if one is set."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pytest

from smartgrid_assets.weather import fetch_weather, fetch_weather_daily
from smartgrid_core.contracts.grid import Weather
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window

MORNING = datetime(2026, 3, 3, 4, 40, tzinfo=UTC)


class Archive:
    """Knows one hour; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Window] = []

    def fetch(self, window: Window) -> pl.DataFrame:
        self.asked.append(window)
        return Weather.cast(
            pl.DataFrame(
                {
                    "station_id": ["open_meteo"],
                    "hour_start": [window.start],
                    "temperature_c": [8.5],
                    "humidity_pct": [70.0],
                    "wind_speed_ms": [2.0],
                    "irradiance_wm2": [0.0],
                    "cloud_cover_pct": [100.0],
                    "known_at": [None],
                }
            )
        )


def test_the_last_days_are_fetched_and_stored(store, handles):
    archive = Archive()
    fetch_weather.execute_in_process(
        run_config={"ops": {"fetch_recent_weather": {"config": {"days": 2}}}},
        resources={
            "weather_source": archive,
            "warehouse": handles["warehouse"],
            "clock": handles["clock"],
        },
    )
    window = Window(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC))
    assert archive.asked == [window]
    (known,) = store.read(Weather).to_dicts()
    assert (known["hour_start"], known["known_at"]) == (window.start, handles["clock"].now())


@pytest.mark.parametrize(
    ("url", "answer"), [(None, dg.SkipReason), ("https://example.org", dg.RunRequest)]
)
def test_without_an_archive_nobody_is_asked(url, answer):
    context = dg.build_schedule_context(scheduled_execution_time=MORNING)
    settings = Settings(_env_file=None, open_meteo_url=url)
    assert isinstance(fetch_weather_daily(context, settings=settings), answer)
