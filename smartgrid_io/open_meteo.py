"""Weather from an Open-Meteo archive API: hourly means per UTC day, as rows of `Weather`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import httpx
import polars as pl
import tenacity

from smartgrid_core.contracts.grid import Weather
from smartgrid_core.errors import ServerError
from smartgrid_core.time import Window

STATION = "open_meteo"

QUANTITIES = {
    "temperature_2m": "temperature_c",
    "relative_humidity_2m": "humidity_pct",
    "wind_speed_10m": "wind_speed_ms",
    "cloud_cover": "cloud_cover_pct",
}
"""Open-Meteo's column -> ours. Theirs are of the instant: an hour's mean is that of its ends."""

RADIATION = "shortwave_radiation"
"""Global horizontal irradiance, W/m2: theirs is the mean over the hour *before* the instant."""

TRIES = 4
TIMEOUT_S = 20.0
MOST_RETRY_WAIT_S = 30.0

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP status codes after which the same request may succeed."""


class _BusyError(Exception):
    """The server asks to be asked again."""


def fetch_weather(
    url: str,
    *,
    latitude: float,
    longitude: float,
    first: date,
    last: date,
    sleep: Callable[[float], None] | None = None,
) -> pl.DataFrame:
    """Return rows of `Weather` for UTC days at one place.

    Hours whose temperature the archive does not know yet are left out. Busy servers and lost
    connections are tried again, TRIES times in all, with growing waits.

    Args:
        url: The archive's address, such as `https://archive-api.open-meteo.com/v1/archive`.
        latitude: Degrees north.
        longitude: Degrees east.
        first: The first UTC day.
        last: The last UTC day, included.
        sleep: Waits so many seconds between attempts; None is the real thing.

    Returns:
        One row per hour of station `open_meteo`, ordered by hour.

    Raises:
        ServerError: The server refused or did not answer; names the server and its reason.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((httpx.TransportError, _BusyError)),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_exponential_jitter(initial=1.0, max=MOST_RETRY_WAIT_S),
        sleep=sleep or tenacity.nap.sleep,
        reraise=True,
    )
    request = {
        "latitude": latitude,
        "longitude": longitude,
        "start_date": first.isoformat(),
        "end_date": (last + timedelta(days=1)).isoformat(),
        "hourly": ",".join([*QUANTITIES, RADIATION]),
        "wind_speed_unit": "ms",
        "timezone": "GMT",
        "timeformat": "unixtime",
    }
    try:
        answer = retrying(_request_hourly, url, request)
    except (httpx.HTTPError, httpx.InvalidURL, _BusyError) as error:
        raise ServerError(f"no weather from {url}: {type(error).__name__}: {error}") from error
    return to_weather_rows(answer, url=url, window=Window.of_days(first, last))


def _request_hourly(url: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the archive's JSON. Raises _BusyError to be tried again, ServerError for a refusal."""
    answer = httpx.get(url, params=dict(request), timeout=TIMEOUT_S)
    if answer.status_code in BUSY:
        raise _BusyError(f"status {answer.status_code}")
    try:
        weather = answer.json()
    except ValueError as error:
        raise ServerError(f"{url} answered {answer.status_code} without JSON") from error
    if not isinstance(weather, Mapping) or answer.is_error or weather.get("error"):
        reason = weather.get("reason") if isinstance(weather, Mapping) else None
        raise ServerError(f"{url} refused ({answer.status_code}): {reason or 'no reason given'}")
    return weather


def to_weather_rows(answer: Mapping[str, Any], *, url: str, window: Window) -> pl.DataFrame:
    """Return the archive's hourly columns as rows of `Weather` within the window, ordered by hour.

    Raises ServerError naming a column that is missing.
    """
    hourly: Mapping[str, Sequence[float | None]] = answer.get("hourly") or {}
    missing = [name for name in ("time", *QUANTITIES, RADIATION) if name not in hourly]
    if missing:
        raise ServerError(f"{url} answered without hourly column {missing[0]!r}")
    instants = pl.DataFrame(
        {
            "hour_start": pl.from_epoch(pl.Series(hourly["time"], dtype=pl.Int64), time_unit="s"),
            **{
                name: pl.Series(hourly[name], dtype=pl.Float64) for name in (*QUANTITIES, RADIATION)
            },
        }
    ).sort("hour_start")
    rows = instants.select(
        pl.lit(STATION).alias("station_id"),
        pl.col("hour_start").dt.replace_time_zone("UTC").dt.cast_time_unit("us"),
        *(
            pl.mean_horizontal(theirs, pl.col(theirs).shift(-1)).alias(ours)
            for theirs, ours in QUANTITIES.items()
        ),
        pl.col(RADIATION).shift(-1).clip(lower_bound=0).alias("irradiance_wm2"),
        known_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
        known=pl.col("temperature_2m").is_not_null(),
    ).filter(
        pl.col("known") & pl.col("hour_start").is_between(window.start, window.end, closed="left")
    )
    return Weather.validate(rows.select(Weather.column_names()))
