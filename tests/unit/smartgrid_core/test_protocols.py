"""What a store says of the rows that it wrote, whether it holds them in memory or not."""

import polars as pl
import pytest

from smartgrid_core.protocols import WriteResult

ROWS = pl.DataFrame(
    {"kind": ["gap", "spike", "gap"], "kwh": [1.0, 4.0, None], "ok": [True, True, False]}
)


@pytest.mark.parametrize("frame", [ROWS, ROWS.lazy()])
def test_figures_are_those_of_the_rows(frame):
    written = WriteResult(count=3, frame=frame)
    assert written.collect().equals(ROWS)
    assert (written.max("kwh"), written.sum("kwh"), written.sum("ok")) == (4.0, 5.0, 2.0)
    assert written.count_distinct("kind") == 2
    assert written.count_by("kind") == {"gap": 2, "spike": 1}


def test_no_rows_have_a_sum_but_no_largest_value():
    written = WriteResult(count=0, frame=ROWS.clear())
    assert written.max("kwh") is None
    assert (written.sum("kwh"), written.count_distinct("kind"), written.count_by("kind")) == (
        0,
        0,
        {},
    )
