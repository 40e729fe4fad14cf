"""A lake and a warehouse in memory, for the graph's shells."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime

import dataframely as dy
import polars as pl
import pytest

from smartgrid_core.contracts.grid import GridTopology
from smartgrid_core.contracts.readings import RegisterBrackets, TouchedDays
from smartgrid_core.contracts.tables import get_table
from smartgrid_core.protocols import WriteResult
from smartgrid_core.settings import Settings
from smartgrid_core.time import Window


def _within(schema: type[dy.Schema], window: Window | None) -> pl.Expr:
    column = get_table(schema).day_column
    if window is None or column is None:
        return pl.lit(True)
    if schema.columns()[column].dtype == pl.Date:
        return pl.col(column).is_in(list(window.days()))
    return pl.col(column).is_between(window.start, window.end, closed="left")


class FakeStore:
    """Both stores at once: what is replaced or upserted can be scanned and read."""

    def __init__(self) -> None:
        self.tables: dict[type[dy.Schema], pl.DataFrame] = {}
        self.brackets = RegisterBrackets.create_empty()

    def read(self, schema: type[dy.Schema], *, window: Window | None = None) -> pl.DataFrame:
        rows = self.tables.get(schema, schema.create_empty())
        return rows.filter(_within(schema, window)).sort(schema.primary_key())

    def scan(self, schema: type[dy.Schema], *, window: Window | None = None) -> pl.LazyFrame:
        return self.read(schema, window=window).lazy()

    def replace(
        self,
        schema: type[dy.Schema],
        rows: pl.DataFrame | pl.LazyFrame,
        *,
        window: Window | None = None,
    ) -> WriteResult:
        new = schema.validate(rows.lazy().collect(), cast=True)
        assert new.filter(~_within(schema, window)).is_empty(), "rows outside the window"
        kept = self.read(schema).filter(~_within(schema, window))
        self.tables[schema] = pl.concat([kept, new])
        return WriteResult(new.height, new)

    def upsert(self, schema: type[dy.Schema], rows: pl.DataFrame) -> WriteResult:
        new = schema.validate(rows, cast=True)
        old = self.read(schema).join(new, on=schema.primary_key(), how="anti")
        self.tables[schema] = pl.concat([old, new])
        return WriteResult(new.height, new)

    def days(self, schema: type[dy.Schema]) -> Sequence[date]:
        column = get_table(schema).day_column
        assert column is not None
        return sorted(self.read(schema)[column].cast(pl.Date).unique())

    def delete_days(self, schema: type[dy.Schema], days: Collection[date]) -> int:
        there = [day for day in self.days(schema) if day in days]
        day = pl.col(str(get_table(schema).day_column)).cast(pl.Date)
        self.tables[schema] = self.read(schema).filter(~day.is_in(there))
        return len(there)

    def read_register_brackets(self, days: Sequence[date]) -> pl.DataFrame:
        return self.brackets.filter(pl.col("day").is_in(list(days)))

    def read_touched_since(self, seq: int, *, limit: int = 1000) -> pl.DataFrame:
        return self.read(TouchedDays).filter(pl.col("seq") > seq).head(limit)

    def count_nodes(self) -> dict[str, int]:
        return dict(self.read(GridTopology)["node_kind"].value_counts().iter_rows())


class StillClock:
    """A clock that stands at noon of 3 March 2026."""

    def now(self) -> datetime:
        return datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def handles(store: FakeStore) -> dict[str, object]:
    """What assets ask for, in memory."""
    return {
        "lake": store,
        "warehouse": store,
        "clock": StillClock(),
        "settings": Settings(_env_file=None),
    }
