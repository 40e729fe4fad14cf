"""The lake in a bucket: the same promises as in a folder."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from smartgrid_core.contracts.aggregates import FeederLoad
from smartgrid_core.contracts.grid import PlantedFaults
from smartgrid_core.time import Window
from smartgrid_io.parquet_lake import ParquetLake

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, str]]:
    """A bucket `grid` on a local S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "aws_endpoint_url": f"http://{host}:{port}",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "aws_region": "eu-central-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=options["aws_endpoint_url"],
        aws_access_key_id="test",
        aws_secret_access_key=options["aws_secret_access_key"],
        region_name="eu-central-1",
    )
    client.create_bucket(
        Bucket="grid", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    yield options
    client.close()
    server.stop()


def loads(*rows: tuple[str, datetime, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [(feeder, hour, load, 3, 4, 0.0) for feeder, hour, load in rows],
        schema=FeederLoad.create_empty().schema,
        orient="row",
    )


def test_days_are_replaced_listed_and_read_in_a_bucket(options: dict[str, str]):
    lake = ParquetLake("s3://grid/lake", storage_options=options)
    assert lake.scan(FeederLoad).collect().is_empty()
    three_days = Window(START, START + 3 * DAY)
    rows = loads(("F1", START, 1), ("F1", START + 2 * DAY, 3))
    assert lake.replace(FeederLoad, rows.lazy(), window=three_days).count == 2
    lake.replace(FeederLoad, loads(("F1", START, 7)), window=Window.of_day(START.date()))
    assert lake.days(FeederLoad) == [START.date(), (START + 2 * DAY).date()]
    assert len(lake.list_computed_days(FeederLoad)) == 3
    year = Window(START - 200 * DAY, START + 200 * DAY)
    assert lake.scan(FeederLoad, window=year).collect()["load_kw"].to_list() == [7.0, 3.0]
    lake.replace(FeederLoad, loads(("F1", START, 8)))
    assert lake.scan(FeederLoad).collect()["load_kw"].to_list() == [8.0]


def test_a_whole_table_is_one_object(options: dict[str, str]):
    lake = ParquetLake("s3://grid/other", storage_options=options)
    lake.replace(PlantedFaults, PlantedFaults.create_empty())
    assert lake.scan(PlantedFaults).collect().equals(PlantedFaults.create_empty())
