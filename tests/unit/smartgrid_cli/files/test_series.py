from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from smartgrid_cli.files.series import Columns, SeriesFileError, read_series

LOAD = Columns(time="when", targets=["load"])


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hour, minutes=minute)


@pytest.fixture
def csv(tmp_path):
    def written(text: str, name: str = "load.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def loads(table) -> list[tuple]:
    return table.loads.rows()


def test_unordered_doubled_and_missing_hours_are_mended_and_told(csv):
    path = csv(
        "when,load\n1/1/2025 3:00,4\n1/1/2025 0:00,1\n1/1/2025 1:00,2\n1/1/2025 1:00,4\n"
        "1/1/2025 4:00,5\n"
    )
    table = read_series(path, LOAD, timezone="UTC")
    assert loads(table) == [
        ("load", at(0), 1.0),
        ("load", at(1), 3.0),
        ("load", at(2), None),
        ("load", at(3), 4.0),
        ("load", at(4), 5.0),
    ]
    assert table.step == timedelta(hours=1)
    assert table.notes == [
        "rows were not in order of time",
        "1 duplicate hours averaged",
        "1 missing hours of 5 left unknown",
    ]


def test_a_clean_file_needs_no_word(csv):
    table = read_series(
        csv("when,load\n2025-01-01T00:00,1\n2025-01-01T01:00,2\n"), LOAD, timezone="UTC"
    )
    assert (loads(table), table.notes) == ([("load", at(0), 1.0), ("load", at(1), 2.0)], [])


@pytest.mark.parametrize(
    "times",
    [
        ("2025-01-01 00:00:00", "2025-01-01 01:00:00"),
        ("2025-01-01T00:00:00.000", "2025-01-01T01:00:00.000"),
        ("31.12.2024 23:00", "01.01.2025 00:00"),
        ("2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z"),
        ("2025-01-01 02:00:00+02:00", "2025-01-01 03:00:00+02:00"),
        ("1735689600", "1735693200"),
        ("1735689600000", "1735693200000"),
    ],
)
def test_times_are_read_in_the_ways_they_are_written(csv, times):
    table = read_series(csv(f"when,load\n{times[0]},1\n{times[1]},2\n"), LOAD, timezone="UTC")
    first = at(-1) if times[0].startswith("31.") else at(0)
    assert table.loads["hour_start"].to_list() == [first, first + timedelta(hours=1)]


def test_a_time_with_an_offset_is_moved_to_the_local_clock(csv):
    path = csv("when,load\n2025-07-01T00:00:00Z,1\n2025-07-01T01:00:00Z,2\n")
    table = read_series(path, LOAD, timezone="Europe/Tirane")
    assert table.loads["hour_start"].dt.hour().to_list() == [2, 3]


def test_semicolons_and_decimal_commas_are_understood(csv):
    table = read_series(
        csv("when;load\n2025-01-01 00:00;1,5\n2025-01-01 01:00;2,5\n"), LOAD, timezone="UTC"
    )
    assert table.loads["load_kw"].to_list() == [1.5, 2.5]
    table = read_series(
        csv("when;load\n2025-01-01 00:00;1.5\n2025-01-01 01:00;2.5\n"), LOAD, timezone="UTC"
    )
    assert table.loads["load_kw"].to_list() == [1.5, 2.5]


def test_what_is_no_number_is_unknown_and_told(csv):
    rows = "".join(f"2025-01-01 0{hour}:00,{hour}\n" for hour in range(3))
    table = read_series(
        csv(f"when,load\n{rows}2025-01-01 03:00,oops\n2025-01-01 04:00,4\n"), LOAD, timezone="UTC"
    )
    assert table.loads["load_kw"].to_list() == [0, 1, 2, None, 4]
    assert table.notes[0] == "1 values of 'load' are no numbers, such as 'oops'"


def test_wide_parquet_becomes_a_series_per_column(tmp_path):
    path = tmp_path / "wide.parquet"
    pl.DataFrame(
        {
            "MAC1": [1.0, float("nan"), 3.0],
            "MAC2": [10, 20, 30],
            "other": [0, 0, 0],
            "when": [datetime(2025, 1, 1, hour) for hour in range(3)],  # noqa: DTZ001 - naive file
        }
    ).write_parquet(path)
    table = read_series(path, Columns("when", ["MAC*"]), timezone="UTC")
    assert loads(table) == [
        ("MAC1", at(0), 1.0),
        ("MAC1", at(1), None),
        ("MAC1", at(2), 3.0),
        ("MAC2", at(0), 10.0),
        ("MAC2", at(1), 20.0),
        ("MAC2", at(2), 30.0),
    ]
    whole = read_series(path, Columns("when", ["MAC*"]), timezone="UTC", min_coverage=0.9)
    assert whole.loads["feeder_id"].unique().to_list() == ["MAC2"]
    assert "1 of 2 series left out: known for less than 90%" in whole.notes
    total = read_series(path, Columns("when", ["MAC*"]), timezone="UTC", total="sum")
    assert loads(total) == [("sum", at(0), 11.0), ("sum", at(1), 20.0), ("sum", at(2), 33.0)]


def test_a_long_file_has_its_series_in_a_column(csv):
    path = csv(
        "when,home,load\n2025-01-01 00:00,a,1\n2025-01-01 00:00,b,5\n2025-01-01 01:00,a,2\n"
        "2025-01-01 01:00,b,6\n"
    )
    table = read_series(path, Columns("when", ["load"], series="home"), timezone="UTC")
    assert loads(table) == [
        ("a", at(0), 1.0),
        ("a", at(1), 2.0),
        ("b", at(0), 5.0),
        ("b", at(1), 6.0),
    ]


HALF_HOURS = "when,load\n" + "".join(
    f"2025-01-01 0{hour}:{minute},{value}\n"
    for hour, minute, value in [
        (0, "00", 1),
        (0, "30", 2),
        (1, "00", 3),
        (2, "00", 5),
        (2, "30", 6),
    ]
)


@pytest.mark.parametrize(("how", "values"), [("sum", [3.0, 6.0, 11.0]), ("mean", [1.5, 3.0, 5.5])])
def test_half_hours_become_hours_by_sum_or_mean(csv, how, values):
    table = read_series(csv(HALF_HOURS), LOAD, timezone="UTC", step=timedelta(hours=1), how=how)
    assert table.loads["load_kw"].to_list() == values
    assert "1 hours made from part of their rows" in table.notes
    assert f"30min rows brought to 1h by {how}" in table.notes


def test_half_hours_stay_half_hours_unless_asked(csv):
    table = read_series(csv(HALF_HOURS), LOAD, timezone="UTC")
    assert table.step == timedelta(minutes=30)
    assert table.loads["load_kw"].to_list() == [1, 2, 3, None, 5, 6]


def test_exogenous_columns_stand_at_their_own_hour(csv):
    path = csv("when,load,temp\n2025-01-01 00:00,1,7\n2025-01-01 01:00,,8\n2025-01-01 02:00,2,9\n")
    table = read_series(path, Columns("when", ["load"], exog=["temp"]), timezone="UTC")
    assert table.exog is not None
    assert table.exog.sort("hour_start")["temp"].to_list() == [7, 8, 9]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("When,load\n2025-01-01,1\n", LOAD, r"no column 'when'. Did you mean 'When'\?"),
        ("when,load\n2025-01-01,1\n", Columns("when", ["MAC*"]), r"no column 'MAC\*'. It has"),
        (
            "when,load\nsoon,1\nlater,2\n",
            LOAD,
            r"column 'when', row 1: 'soon' is not read as a time",
        ),
        ("when,load\n2025-01-01,x\n2025-01-02,y\n", LOAD, "column 'load' is text such as 'x'"),
        ("when,load\n1,1\n2,2\n", LOAD, "holds numbers such as 1, not times"),
        ("when,load\n2025-01-01,1\n", LOAD, "too little to see the time step"),
        ("when,load\n", LOAD, "has no rows"),
        ("when,all\n2025-01-01,1\n2025-01-02,1\n", Columns("when", ["all"]), "named 'all'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_mend(csv, text, columns, message):
    path = csv(text)
    with pytest.raises(SeriesFileError, match=message) as refused:
        read_series(path, columns, timezone="UTC")
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_or_of_no_known_kind_is_named(tmp_path, csv):
    with pytest.raises(SeriesFileError, match="no such file"):
        read_series(tmp_path / "absent.csv", LOAD, timezone="UTC")
    with pytest.raises(SeriesFileError, match="neither CSV nor Parquet"):
        read_series(csv("x", "load.xlsx"), LOAD, timezone="UTC")
    with pytest.raises(SeriesFileError, match="cannot be read"):
        read_series(csv("x", "load.parquet"), LOAD, timezone="UTC")


def test_a_finer_step_than_the_file_has_is_refused(csv):
    path = csv("when,load\n2025-01-01 00:00,1\n2025-01-01 01:00,2\n")
    with pytest.raises(SeriesFileError, match="its step is 1h; it cannot be split to 30min"):
        read_series(path, LOAD, timezone="UTC", step=timedelta(minutes=30))
