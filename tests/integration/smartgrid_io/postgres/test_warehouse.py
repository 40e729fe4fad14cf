"""The warehouse: rows in and out, revisions, touched days and brackets."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartgrid_core.contracts.aggregates import DailyConsumption, FeederLoad
from smartgrid_core.contracts.alerts import Alerts
from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import (
    MeterReadings,
    ReadingRevisions,
    RegisterBrackets,
    RepeatedReadings,
    SensorData,
    TouchedDays,
)
from smartgrid_core.errors import ContractError, ServerError
from smartgrid_core.readings.touched import find_interval_day, find_touched_days
from smartgrid_core.time import Window
from smartgrid_io.postgres.copy import connect
from smartgrid_io.postgres.loading import Load, LoadCounts, list_days, load_rows
from smartgrid_io.postgres.schema import ensure_months
from smartgrid_io.postgres.warehouse import PostgresWarehouse

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def readings(
    *rows: tuple[str, datetime, float], kind: str = "register", customer: str | None = None
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "event_id": [f"{meter}-{time:%d%H%M}" for meter, time, _ in rows],
            "meter_id": [meter for meter, _, _ in rows],
            "customer_id": [customer] * len(rows),
            "reading": [float(value) for _, _, value in rows],
            "unit": ["kWh"] * len(rows),
            "reading_kind": [kind] * len(rows),
            "event_time": [time for _, time, _ in rows],
            "ingested_at": [START] * len(rows),
        },
        schema=MeterReadings.create_empty().schema,
    )


def loads(*rows: tuple[str, datetime, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "feeder_id": feeder,
                "hour_start": hour,
                "load_kw": load,
                "meters": 3,
                "estimated_share": 0.0,
            }
            for feeder, hour, load in rows
        ],
        schema=FeederLoad.create_empty().schema,
    )


def journal(warehouse: PostgresWarehouse, *, since: int = 0) -> list[date]:
    return warehouse.read_touched_since(since)["day"].to_list()


def test_rows_come_back_as_they_went_in(warehouse: PostgresWarehouse):
    rows = pl.DataFrame(
        {
            "event_id": ["e1", "e2", "e3"],
            "sensor_id": ['comma, "quote"', "line\nbreak", "Zähler ☀"],
            "sensor_type": ["voltage", "power", "frequency"],
            "value": [0.1 + 0.2, -1e-300, 50.0],
            "latitude": [41.3, None, None],
            "longitude": [19.8, None, -0.0],
            "event_time": [START, START + timedelta(microseconds=1), START + HOUR],
            "ingested_at": [START] * 3,
            "metadata": ['{"a": [1, "x"]}', None, "{}"],
        },
        schema=SensorData.create_empty().schema,
    )
    warehouse.upsert(SensorData, rows)
    assert warehouse.read(SensorData).rows() == rows.sort(SensorData.primary_key()).rows()


def test_a_date_is_a_day_and_a_flag_a_flag(warehouse: PostgresWarehouse):
    day = pl.DataFrame(
        [
            {
                "meter_id": "a",
                "local_day": date(2026, 3, 1),
                "energy_kwh": 2.5,
                "estimated_kwh": 0.0,
                "hours": 24,
                "covered_hours": 23.5,
            }
        ],
        schema=DailyConsumption.create_empty().schema,
    )
    load = pl.DataFrame(
        [
            {
                "feeder_id": "F1",
                "hour_start": START + index * HOUR,
                "load_kw": -0.5,
                "meters": 1,
                "expected_meters": None if index else 2,
                "estimated_share": 0.25,
            }
            for index in range(2)
        ],
        schema=FeederLoad.create_empty().schema,
    )
    warehouse.replace(DailyConsumption, day, window=Window.of_day(date(2026, 3, 1)))
    warehouse.replace(FeederLoad, load, window=Window.of_day(date(2026, 3, 1)))
    assert warehouse.read(DailyConsumption).equals(day)
    assert warehouse.read(FeederLoad).equals(load)


def test_a_window_reads_its_own_rows(warehouse: PostgresWarehouse):
    rows = loads(*(("F1", START + day * timedelta(days=1), day) for day in range(4)))
    warehouse.upsert(FeederLoad, rows)
    window = Window.of_days(date(2026, 3, 2), date(2026, 3, 3))
    assert warehouse.read(FeederLoad, window=window)["load_kw"].to_list() == [1.0, 2.0]


def test_replacing_a_window_leaves_the_rest_and_drops_what_is_gone(warehouse: PostgresWarehouse):
    warehouse.upsert(FeederLoad, loads(("F1", START, 1), ("F2", START, 2), ("F1", START - HOUR, 9)))
    window = Window.of_day(START.date())
    written = warehouse.replace(FeederLoad, loads(("F1", START, 1.5)), window=window)
    assert written.count == 1
    assert warehouse.read(FeederLoad).equals(loads(("F1", START - HOUR, 9), ("F1", START, 1.5)))


def test_equal_rows_are_not_written_again(warehouse: PostgresWarehouse):
    rows = loads(("F1", START, 1), ("F2", START, 2))
    versions = "SELECT feeder_id, xmin::text FROM feeder_load ORDER BY 1"
    warehouse.upsert(FeederLoad, rows)
    with connect(warehouse.url) as connection:
        before = connection.execute(versions).fetchall()
    warehouse.upsert(FeederLoad, rows)
    warehouse.replace(FeederLoad, rows, window=Window.of_day(START.date()))
    with connect(warehouse.url) as connection:
        assert connection.execute(versions).fetchall() == before


def test_a_row_outside_the_window_is_refused_and_nothing_changes(warehouse: PostgresWarehouse):
    warehouse.upsert(FeederLoad, loads(("F1", START, 1)))
    with pytest.raises(ContractError, match="feeder_load: a row lies outside the window"):
        warehouse.replace(
            FeederLoad, loads(("F1", START + HOUR * 24, 2)), window=Window.of_day(START.date())
        )
    assert warehouse.read(FeederLoad).equals(loads(("F1", START, 1)))


def test_a_row_that_breaks_its_contract_is_refused_by_name(warehouse: PostgresWarehouse):
    bad = loads(("F1", START, 1)).with_columns(estimated_share=pl.lit(1.5))
    with pytest.raises(ContractError, match="feeder_load: column 'estimated_share'"):
        warehouse.upsert(FeederLoad, bad)
    with pytest.raises(ContractError, match="column 'load_kw' is missing"):
        warehouse.upsert(FeederLoad, bad.drop("load_kw"))
    with pytest.raises(ContractError, match="column 'meters' is Int64, expected Int32"):
        warehouse.upsert(FeederLoad, bad.with_columns(pl.col("meters").cast(pl.Int64)))


def test_one_fact_opens_one_alert(warehouse: PostgresWarehouse):
    alert = {
        "alert_id": "1",
        "dedupe_key": "F1 2026-03-01",
        "alert_type": "threshold_exceeded",
        "severity": "warning",
        "subject_id": "F1",
        "message": "F1 may cross its rating",
        "metadata": '{"p90_kw": 12.5}',
        "state": "open",
        "opened_at": START,
        "closed_at": None,
    }
    schema = Alerts.create_empty().schema
    warehouse.upsert(Alerts, pl.DataFrame([alert], schema=schema))
    with pytest.raises(ContractError, match="uq_alerts_dedupe_key"):
        warehouse.upsert(Alerts, pl.DataFrame([{**alert, "alert_id": "2"}], schema=schema))
    assert warehouse.read(Alerts).to_dicts() == [alert]


def test_a_server_that_is_away_is_named_without_its_password():
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1/nowhere") as caught:
        PostgresWarehouse("postgresql://me:secret@127.0.0.1:1/nowhere").read(FeederLoad)
    assert "secret" not in str(caught.value)


def test_a_changed_reading_leaves_a_revision_and_a_repeat_leaves_nothing(
    warehouse: PostgresWarehouse,
):
    warehouse.upsert(MeterReadings, readings(("a", START, 5), ("b", START, 7)))
    seen = warehouse.read_touched_since(0)["seq"].max()
    warehouse.upsert(MeterReadings, readings(("a", START, 6), ("b", START, 7)))
    revisions = warehouse.read(ReadingRevisions).select(
        "dataset", "subject_id", "quantity", "event_time", "old_value", "new_value", "source"
    )
    assert revisions.rows() == [("meter_readings", "a", "register", START, 5.0, 6.0, "upsert")]
    assert journal(warehouse, since=seen) == [START.date()]
    seen = warehouse.read_touched_since(0)["seq"].max()
    warehouse.upsert(MeterReadings, readings(("a", START, 6), ("b", START, 7)))
    assert journal(warehouse, since=seen) == []


def test_of_two_values_in_one_batch_the_later_stands_and_the_earlier_is_kept(
    warehouse: PostgresWarehouse,
):
    rows = readings(("a", START, 5), ("b", START, 1), ("a", START, 6), ("b", START, 1))
    loading_months(warehouse, rows)
    with warehouse.transaction() as connection:
        loaded = load_rows(Load(connection, MeterReadings, source="file.csv", now=START), rows)
    assert loaded == LoadCounts(new=2, changed=1, repeated=1)
    assert warehouse.read(MeterReadings)["reading"].to_list() == [6.0, 1.0]
    assert warehouse.read(ReadingRevisions).select("old_value", "new_value").rows() == [(5.0, 6.0)]


def loading_months(warehouse: PostgresWarehouse, rows: pl.DataFrame) -> None:
    ensure_months(warehouse.url, MeterReadings, list_days(MeterReadings, rows))


def test_a_description_is_filled_in_but_never_taken_away_nor_a_reason_to_recompute(
    warehouse: PostgresWarehouse,
):
    warehouse.upsert(MeterReadings, readings(("a", START, 5)))
    seen = warehouse.read_touched_since(0)["seq"].max()
    named = readings(("a", START, 5), customer="C1")
    warehouse.upsert(MeterReadings, named.with_columns(ingested_at=START + 99 * HOUR))
    warehouse.upsert(MeterReadings, readings(("a", START, 5)))
    stored = warehouse.read(MeterReadings)
    assert stored["customer_id"].to_list() == ["C1"]
    assert stored["ingested_at"].to_list() == readings(("a", START, 5))["ingested_at"].to_list()
    assert journal(warehouse, since=seen) == []


def test_readings_only_grow(warehouse: PostgresWarehouse):
    with pytest.raises(ContractError, match="never replaced"):
        warehouse.replace(MeterReadings, readings(("a", START, 5)))


def test_weather_touches_its_own_day(warehouse: PostgresWarehouse):
    rows = pl.DataFrame(
        [{"station_id": "s", "hour_start": START, "temperature_c": 7.5}],
        schema=Weather.create_empty().schema,
    )
    warehouse.upsert(Weather, rows)
    assert warehouse.read_touched_since(0).select("dataset", "day").rows() == [
        ("weather", START.date())
    ]


def test_weather_stays_known_from_its_first_arrival(warehouse: PostgresWarehouse):
    def arrives(temperature_c: float, known_at: datetime) -> list[object]:
        row = {"station_id": "s", "hour_start": START, "temperature_c": temperature_c}
        schema = Weather.create_empty().schema
        warehouse.upsert(Weather, pl.DataFrame([row | {"known_at": known_at}], schema=schema))
        stored = warehouse.read(Weather).select("temperature_c", "known_at").row(0)
        return [*stored, warehouse.read_touched_since(0).height]

    assert arrives(7.5, START + HOUR) == [7.5, START + HOUR, 1]
    assert arrives(7.5, START + 25 * HOUR) == [7.5, START + HOUR, 1]
    assert arrives(8.0, START + 49 * HOUR) == [8.0, START + HOUR, 2]


def test_an_interval_that_ends_at_midnight_touches_the_day_before_too(
    warehouse: PostgresWarehouse,
):
    warehouse.upsert(MeterReadings, readings(("a", START, 5), kind="interval"))
    assert journal(warehouse) == [find_interval_day(START), START.date()]


def test_brackets_are_the_four_nearest_on_each_side(warehouse: PostgresWarehouse):
    times = [START + index * timedelta(hours=6) for index in range(-6, 10)]
    warehouse.upsert(
        MeterReadings, readings(*(("a", time, index) for index, time in enumerate(times)))
    )
    warehouse.upsert(MeterReadings, readings(("only_interval", START, 1), kind="interval"))
    brackets = warehouse.read_register_brackets([START.date()])
    assert brackets.select("meter_id", "reading", "side").rows() == [
        ("a", 2.0, "before"),
        ("a", 3.0, "before"),
        ("a", 4.0, "before"),
        ("a", 5.0, "before"),
        ("a", 10.0, "after"),
        ("a", 11.0, "after"),
        ("a", 12.0, "after"),
        ("a", 13.0, "after"),
    ]
    RegisterBrackets.validate(brackets)


def test_a_meter_has_no_brackets_before_its_first_and_after_its_last_reading(
    warehouse: PostgresWarehouse,
):
    warehouse.upsert(MeterReadings, readings(("a", START, 1), ("a", START + 48 * HOUR, 2)))
    days = [START.date() + timedelta(days=offset) for offset in range(-1, 4)]
    brackets = warehouse.read_register_brackets(days)
    assert brackets.select("day", "reading", "side").rows() == [
        (days[1], 2.0, "after"),
        (days[2], 1.0, "before"),
        (days[2], 2.0, "after"),
        (days[3], 1.0, "before"),
    ]


MOMENTS = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 10 * 4).map(lambda n: n * 6))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=st.sets(MOMENTS, max_size=14), later=st.sets(MOMENTS, min_size=1, max_size=4))
def test_a_load_journals_exactly_the_days_that_its_readings_bear_on(
    warehouse: PostgresWarehouse,
    before: set[tuple[str, int]],
    later: set[tuple[str, int]],
):
    with connect(warehouse.url) as connection:
        connection.execute("TRUNCATE meter_readings, touched_days")
    days = [START.date() + timedelta(days=offset) for offset in range(-2, 14)]
    first = [(meter, START + hours * HOUR) for meter, hours in sorted(before)]
    second = [(meter, START + hours * HOUR) for meter, hours in sorted(later)]
    if first:
        warehouse.upsert(MeterReadings, readings(*((*moment, 1.0) for moment in first)))
    seen = warehouse.read_touched_since(0)["seq"].max() or 0
    was = warehouse.read_register_brackets(days)
    warehouse.upsert(MeterReadings, readings(*((*moment, 2.0) for moment in second)))
    named = set(journal(warehouse, since=seen))
    assert named == find_touched_days(second, known={*first, *second})
    is_now = warehouse.read_register_brackets(days)
    for day in days:
        if not is_now.filter(day=day).equals(was.filter(day=day)):
            assert day in named


def test_the_journal_is_read_in_order_from_where_one_left_off(warehouse: PostgresWarehouse):
    for hour in (0, 30, 60):
        warehouse.upsert(MeterReadings, readings(("a", START + hour * HOUR, hour)))
    journalled = warehouse.read_touched_since(0)
    TouchedDays.validate(journalled)
    assert journalled["seq"].is_sorted()
    assert warehouse.read_touched_since(journalled["seq"][1], limit=1).equals(journalled[2:3])


def test_what_one_delivery_says_twice_leaves_a_trace_with_its_span(warehouse: PostgresWarehouse):
    rows = readings(*(("a", START + n * HOUR, n) for n in (0, 1, 1, 2, 2)), ("b", START, 1))
    loading_months(warehouse, rows)
    with warehouse.transaction() as connection:
        load_rows(Load(connection, MeterReadings, source="file.csv", now=START), rows)
    assert warehouse.read(RepeatedReadings).to_dicts() == [
        {
            "source": "file.csv",
            "dataset": "meter_readings",
            "subject_id": "a",
            "start_time": START + HOUR,
            "end_time": START + 2 * HOUR + timedelta(microseconds=1),
            "rows": 2,
        }
    ]


def test_a_long_load_never_hides_its_days_behind_those_of_a_short_one(
    warehouse: PostgresWarehouse,
):
    rows = readings(("a", START, 1))
    later = readings(("b", START + 24 * HOUR, 1))
    loading_months(warehouse, pl.concat([rows, later]))
    with ThreadPoolExecutor(1) as pool, warehouse.transaction() as connection:
        load_rows(Load(connection, MeterReadings, source="long.csv", now=START), rows)
        short = pool.submit(warehouse.upsert, MeterReadings, later)
        with pytest.raises(TimeoutError):
            short.result(timeout=1)
        assert journal(warehouse) == []
        connection.commit()
        short.result(timeout=30)
    assert journal(warehouse) == [START.date(), START.date() + timedelta(days=1)]


def test_the_nodes_of_the_tree_are_counted_by_kind(warehouse: PostgresWarehouse):
    assert warehouse.count_nodes() == {}
    place = {"latitude": 50.0, "longitude": 8.0}
    nodes = [
        ("S", "substation", None),
        ("F", "feeder", "S"),
        ("M1", "meter", "F"),
        ("M2", "meter", "F"),
    ]
    warehouse.upsert(
        GridTopology,
        GridTopology.cast(
            pl.DataFrame(
                [
                    {"node_id": node, "node_kind": kind, "parent_id": above, "name": node, **place}
                    for node, kind, above in nodes
                ]
            ).with_columns(
                pl.lit(None).alias(name)
                for name in ("nominal_voltage_v", "rating_kw", "customer_id", "customer_kind")
            )
        ),
    )
    assert warehouse.count_nodes() == {"substation": 1, "feeder": 1, "meter": 2}
