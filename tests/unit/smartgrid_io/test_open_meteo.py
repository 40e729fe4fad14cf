"""The Open-Meteo client against an archive on localhost."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest

from smartgrid_core.errors import ServerError
from smartgrid_io.open_meteo import TRIES, fetch_weather

DAY = date(2026, 3, 1)
START = datetime(2026, 3, 1, tzinfo=UTC)


def two_days(**columns: object) -> dict[str, object]:
    """An answer of 48 hours: every value is its hour's number, the second day's are unknown."""
    known = [float(hour) for hour in range(25)] + [None] * 23
    return {
        "hourly": {
            "time": [int((START + timedelta(hours=hour)).timestamp()) for hour in range(48)],
            "temperature_2m": known,
            "relative_humidity_2m": known,
            "wind_speed_10m": known,
            "cloud_cover": known,
            "shortwave_radiation": known,
        }
        | columns
    }


class Archive(ThreadingHTTPServer):
    """Answers with what is on its list, the last of it for ever; keeps the questions."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Get)
        self.answers: list[tuple[int, object]] = []
        self.questions: list[dict[str, list[str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/archive"


class Get(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.questions.append(parse_qs(urlparse(self.path).query))
        answers = self.server.answers
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(url: str, naps: list[float] | None = None):
    waits: list[float] = [] if naps is None else naps
    return fetch_weather(
        url, latitude=41.33, longitude=19.82, first=DAY, last=DAY, sleep=waits.append
    )


def test_an_hour_is_the_mean_of_its_ends_and_the_radiation_that_fell_in_it(archive):
    archive.answers = [(200, two_days())]
    rows = fetch(archive.url)
    assert rows.height == 24
    assert rows.row(7, named=True) == {
        "station_id": "open_meteo",
        "hour_start": START + timedelta(hours=7),
        "temperature_c": 7.5,
        "humidity_pct": 7.5,
        "wind_speed_ms": 7.5,
        "irradiance_wm2": 8.0,
        "cloud_cover_pct": 7.5,
        "known_at": None,
    }


def test_the_question_asks_for_utc_and_metres_per_second_and_one_day_more(archive):
    archive.answers = [(200, two_days())]
    fetch(archive.url)
    assert archive.questions == [
        {
            "latitude": ["41.33"],
            "longitude": ["19.82"],
            "start_date": ["2026-03-01"],
            "end_date": ["2026-03-02"],
            "hourly": [
                "temperature_2m,relative_humidity_2m,wind_speed_10m,cloud_cover,shortwave_radiation"
            ],
            "wind_speed_unit": ["ms"],
            "timezone": ["GMT"],
            "timeformat": ["unixtime"],
        }
    ]


def test_hours_that_the_archive_does_not_know_are_left_out(archive):
    temperatures = [10.0] * 6 + [None] * 42
    archive.answers = [(200, two_days(temperature_2m=temperatures))]
    rows = fetch(archive.url)
    assert rows["hour_start"].max() == START + timedelta(hours=5)
    assert rows["temperature_c"].to_list() == [10.0] * 6


def test_a_busy_server_is_asked_again_after_growing_waits(archive):
    archive.answers = [(503, {}), (429, {}), (200, two_days())]
    naps: list[float] = []
    assert fetch(archive.url, naps).height == 24
    assert len(naps) == 2
    assert 1.0 <= naps[0] <= 2.0 <= naps[1] <= 3.0


def test_a_server_that_stays_busy_is_given_up(archive):
    archive.answers = [(503, {})]
    with pytest.raises(ServerError, match="status 503"):
        fetch(archive.url)
    assert len(archive.questions) == TRIES


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (400, {"error": True, "reason": "Latitude must be in range"}, "Latitude must be in range"),
        (200, b"<html>", "without JSON"),
        (200, [], "no reason given"),
        (200, {"hourly": {"time": []}}, "temperature_2m"),
        (404, {}, "404"),
    ],
)
def test_what_is_no_weather_is_said_and_not_asked_again(archive, status, answer, said):
    archive.answers = [(status, answer)]
    with pytest.raises(ServerError, match=said):
        fetch(archive.url)
    assert len(archive.questions) == 1


def test_nobody_there_is_named():
    with pytest.raises(ServerError, match=r"no weather from http://127\.0\.0\.1:1/"):
        fetch("http://127.0.0.1:1/")
