from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from smartgrid_cli.files.readings import read_readings
from smartgrid_cli.files.table import Columns, SeriesFileError

ONE = Columns(time="when", targets=["v"], label="fault")


def at(hour: float) -> datetime:
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


@pytest.fixture
def csv(tmp_path):
    def written(text: str, name: str = "grid.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def hourly(first: str, values, *, zone: str = "") -> str:
    start = datetime.fromisoformat(first)
    lines = [f"{start + timedelta(hours=n):%Y-%m-%dT%H:%M}{zone},{v}" for n, v in enumerate(values)]
    return "when,v\n" + "\n".join(lines) + "\n"


def test_rows_keep_their_times_and_stand_on_a_grid(csv):
    path = csv(
        "when,v,fault\n2025-01-01T02:00,3,0\n2025-01-01T00:00,1,0\n2025-01-01T01:00,2,1\n"
        "2025-01-01T01:20,4,0\n2025-01-01T01:20,6,0\n2025-01-01T04:00,5,0\n"
    )
    got = read_readings(path, ONE, timezone="UTC", step=timedelta(hours=1))
    assert got.rows.rows() == [
        ("v", at(0), at(0), 1.0, False),
        ("v", at(1), at(1), 2.0, True),
        ("v", at(1 + 1 / 3), at(1), 5.0, False),
        ("v", at(2), at(2), 3.0, False),
        ("v", at(4), at(4), 5.0, False),
    ]
    assert got.grid.select("time", "value").rows() == [
        (at(0), 1.0), (at(1), 3.5), (at(2), 3.0), (at(3), None), (at(4), 5.0),
    ]  # fmt: skip
    assert got.notes == [
        "1 rows share series and time with another: averaged",
        "1 rows stand off the 1h grid; they keep their own times",
        "1 of 5 steps have no value",
    ]


def test_the_grid_stands_where_the_rows_do(csv):
    lines = "".join(f"2025-01-01T{hour:02}:07,{hour}\n" for hour in range(5))
    got = read_readings(csv(f"when,v\n{lines}"), Columns("when", ["v"]), timezone="UTC")
    assert got.grid["time"].to_list() == [at(hour + 7 / 60) for hour in range(5)]
    assert got.notes == []


def test_an_hour_that_spring_leaves_out_is_not_missing(csv):
    path = csv(
        "when,v\n2025-03-30T00:00,1\n2025-03-30T01:00,2\n2025-03-30T03:00,3\n2025-03-30T04:00,4\n"
    )
    got = read_readings(path, Columns("when", ["v"]), timezone="Europe/Berlin")
    assert got.grid["value"].to_list() == [1.0, 2.0, 3.0, 4.0]


def test_an_hour_that_autumn_doubles_is_two_hours(csv):
    hours = ("01:00", "02:00", "02:00", "03:00")
    lines = "".join(f"2025-10-26T{hour},{n}\n" for n, hour in enumerate(hours))
    got = read_readings(csv(f"when,v\n{lines}"), Columns("when", ["v"]), timezone="Europe/Berlin")
    assert got.grid["value"].to_list() == [0.0, 1.0, 2.0, 3.0]
    assert got.notes == []


def test_a_local_clock_that_tells_a_doubled_hour_once_misses_nothing(csv):
    hours = ("01:00", "02:00", "03:00", "04:00")
    lines = "".join(f"2025-10-26T{hour},{n}\n" for n, hour in enumerate(hours))
    got = read_readings(csv(f"when,v\n{lines}"), Columns("when", ["v"]), timezone="Europe/Berlin")
    assert got.grid.filter(pl.col("value").is_null())["expected"].to_list() == [False]
    assert got.notes == []


def test_days_of_a_local_clock_stay_days_over_a_clock_change(csv):
    lines = "".join(f"2025-03-{day:02},{day}\n" for day in range(25, 32))
    got = read_readings(csv(f"when,v\n{lines}"), Columns("when", ["v"]), timezone="Europe/Berlin")
    assert got.grid["value"].to_list() == [float(day) for day in range(25, 32)]
    assert got.grid["instant"].dt.hour().to_list() == [23, 23, 23, 23, 23, 23, 22]
    assert got.clock == "Europe/Berlin"


def test_seconds_keep_their_times_on_a_grid_of_minutes(csv):
    lines = "".join(f"2025-01-01T00:0{s // 60}:{s % 60:02},{s}\n" for s in range(120))
    got = read_readings(csv(f"when,v\n{lines}"), Columns("when", ["v"]), timezone="UTC")
    assert (got.step, got.rows.height) == (timedelta(minutes=1), 120)
    assert got.grid["value"].to_list() == [29.5, 89.5]


def test_leading_gaps_are_no_readings_and_trailing_ones_are(csv):
    path = csv(hourly("2025-01-01", ["", "", 1, 2, "inf", "NaN", ""]))
    got = read_readings(path, Columns("when", ["v"]), timezone="UTC")
    assert got.grid["value"].to_list() == [1.0, 2.0, None, None, None]
    assert got.notes == [
        "1 infinite values of 'v' taken as missing",
        "2 rows before the first value of their series, not judged",
        "3 of 5 steps have no value",
    ]
    assert got.unjudged["time"].dt.hour().to_list() == [0, 1]


def test_weekly_values_are_refused_with_a_reason(csv):
    lines = "".join(f"2025-01-{day:02},{day}\n" for day in (1, 8, 15, 22, 29))
    with pytest.raises(SeriesFileError, match="rows are 7d apart; detectors judge days"):
        read_readings(csv(f"when,v\n{lines}"), Columns("when", ["v"]), timezone="UTC")


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (("0", "1", ""), [False, True, None]),
        (("0.0", "1.0", "1.0"), [False, True, True]),
        (("true", "False", "TRUE"), [True, False, True]),
        (("", "1", ""), [False, True, False]),
    ],
)
def test_labels_are_read_as_they_are_written(csv, cells, labels):
    lines = "".join(f"2025-01-01T0{n}:00,{n},{cell}\n" for n, cell in enumerate(cells))
    got = read_readings(csv(f"when,v,fault\n{lines}"), ONE, timezone="UTC")
    assert got.rows["label"].to_list() == labels


def test_a_context_is_the_mean_of_each_step(csv):
    text = "when,v,temp\n" + "".join(f"2025-01-01T0{n}:00,{n},{10 + n}\n" for n in range(4))
    columns = Columns("when", ["v"], exog=["temp"])
    got = read_readings(csv(text), columns, timezone="UTC", step=timedelta(hours=2))
    assert got.context.rows() == [(at(0), 10.5), (at(2), 12.5)]


HEAD = "when,v,fault\n"
DAY = "2025-01-01T"


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        (f"{HEAD}{DAY}00:00,1,0\n", Columns("when", ["w"]), r"no column 'w'. .*It has 'when', 'v'"),
        (f"{HEAD}{DAY}00:00,1,0\n", Columns("when", ["v"], label="fautl"), "mean 'fault'"),
        (HEAD, ONE, "has no rows"),
        ("", ONE, "cannot be read"),
        (f"{HEAD}{DAY}00:00,1,0\n", ONE, "one value per series"),
        (f"{HEAD}{DAY}00:00,,0\n{DAY}01:00,,0\n", ONE, "no value in 'v'"),
        (f"{HEAD}{DAY}00:00,1,0\n{DAY}01:00,2,2\n", ONE, "'fault', row 2: .* is no label"),
        (f"{HEAD}{DAY}00:00,a,0\n{DAY}01:00,b,0\n", ONE, "column 'v' is text such as 'a'"),
        (f"{HEAD}{DAY}00:00,1,0\n{DAY}01:00,2,0\n", Columns("when", ["v"], label="v"), "both"),
        (f"{HEAD}x,1,0\ny,2,0\n", ONE, "'x' is not read as a time"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_judged_is_refused_with_the_mend(csv, text, columns, said):
    path = csv(text)
    with pytest.raises(SeriesFileError, match=said) as refused:
        read_readings(path, columns, timezone="UTC")
    assert str(path) in str(refused.value)


def test_years_of_empty_seconds_are_refused_before_they_are_made(csv):
    lines = "".join(f"{year}-01-01T00:00:{s:02},1\n" for year in (2015, 2025) for s in range(50))
    with pytest.raises(SeriesFileError, match="nearly all empty; give the step"):
        read_readings(csv(f"when,v\n{lines}"), Columns("when", ["v"]), timezone="UTC")
