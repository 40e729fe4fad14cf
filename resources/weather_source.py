"""The weather archive as a Dagster resource."""

from dataclasses import dataclass

import dagster as dg
import polars as pl

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.protocols import WeatherSource
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window
from smartgrid_io.open_meteo import fetch_weather


@dataclass(frozen=True, slots=True)
class OpenMeteoArchive:
    """The archive at `url`, asked about one place; without a URL it knows nothing."""

    url: str | None
    latitude: float
    longitude: float

    def fetch(self, window: Window) -> pl.DataFrame:
        """Rows of `Weather` for the window's UTC days, as far as they are known."""
        days = list(window.days())
        if self.url is None or not days:
            return Weather.create_empty()
        return fetch_weather(
            self.url,
            latitude=self.latitude,
            longitude=self.longitude,
            first=days[0],
            last=days[-1],
        )


class WeatherSourceResource(dg.ConfigurableResource[WeatherSource]):
    """The archive that SMARTGRID_OPEN_METEO_URL names, for the place in the settings."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> WeatherSource:
        """Return the archive for the settings' latitude and longitude, degrees."""
        return OpenMeteoArchive(
            url=self.settings.open_meteo_url,
            latitude=self.settings.latitude,
            longitude=self.settings.longitude,
        )
