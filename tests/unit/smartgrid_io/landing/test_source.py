"""A file's bytes cut into rows: every line is a row or a refusal."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartgrid_io.landing import text
from smartgrid_io.landing.source import read_blocks


def rows_of(path: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    blocks = list(read_blocks(path))
    rows = pl.concat([block.rows for block in blocks]).rows()
    bad = pl.concat([block.bad for block in blocks]).select("row_number", "reason").rows()
    return rows, bad


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.csv"


def test_a_broken_line_costs_no_other(path: Path):
    path.write_bytes(b'a,b\n1,2\n3,4,5\n\n"x\ny",6\n7,\xff\n"open,8\n9,10\n11\n')
    rows, bad = rows_of(path)
    assert rows == [("1", "2", 1), ("x\ny", "6", 3), ("9", "10", 6), ("11", "", 7)]
    assert bad == [(2, "too_many_cells"), (4, "wrong_encoding"), (5, "broken_quotes")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_header_shows_the_separator(path: Path, separator: str):
    path.write_text(separator.join("ab") + "\n" + separator.join(["1", "2.5"]) + "\n")
    assert rows_of(path) == ([("1", "2.5", 1)], [])


def test_rows_are_numbered_through_all_blocks(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text, "BLOCK_BYTES", 64)
    lines = [f"{n},{'x' * (n % 7)}" for n in range(1, 200)]
    path.write_text("\n".join(["n,text", *lines]))
    rows, bad = rows_of(path)
    assert [row[0] for row in rows] == [str(row[2]) for row in rows]
    assert (len(rows), bad) == (199, [])


CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\r", exclude_categories=["Cs"]), max_size=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(CELLS.filter(str.strip), CELLS), min_size=1, max_size=20),
    st.integers(16, 200),
)
def test_what_a_csv_writer_wrote_is_what_is_read(
    path: Path, rows: list[tuple[str, str]], block: int
):
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["first", "second"])
    writer.writerows(rows)
    path.write_text(written.getvalue(), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK_BYTES", block)
        read, bad = rows_of(path)
    assert bad == []
    assert [(first, second or "") for first, second, _ in read] == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200).filter(lambda data: b"\x00" not in data))
def test_any_bytes_are_rows_or_refusals_in_order(path: Path, data: bytes):
    path.write_bytes(b"a,b\n1,2\n" + data)
    rows, bad = rows_of(path)
    numbers = sorted([row[2] for row in rows] + [row[0] for row in bad])
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_quote_inside_an_unquoted_cell_is_a_character_like_others(path: Path):
    lines = ['a,6" pipe,1', "b,plain,2", 'c,"quoted, too",3', 'd,8" pipe,4', 'e,9",10"', 'f,"",6']
    path.write_text("id,name,reading\n" + "\n".join(lines) + "\n")
    assert rows_of(path) == (
        [
            ("a", '6" pipe', "1", 1),
            ("b", "plain", "2", 2),
            ("c", "quoted, too", "3", 3),
            ("d", '8" pipe', "4", 4),
            ("e", '9"', '10"', 5),
            ("f", "", "6", 6),
        ],
        [],
    )


def test_a_quote_that_opens_and_closes_in_different_rows_swallows_none(path: Path):
    path.write_text('id,reading,time\n"a,1,x\nb,2,y\nc,3,z\nd",4,u\n"e,5,v\nf,6,"w"\n')
    rows, bad = rows_of(path)
    assert [(row[0], row[3]) for row in rows] == [("b", 2), ("c", 3), ('d"', 4), ("f", 6)]
    assert bad == [(1, "broken_quotes"), (5, "broken_quotes")]


def test_several_cells_of_a_row_may_hold_line_breaks(path: Path):
    path.write_text('id,reading,customer\n"Q\nL",1,"a\nb"\nc,2,C\n')
    assert rows_of(path) == ([("Q\nL", "1", "a\nb", 1), ("c", "2", "C", 2)], [])


def test_a_line_of_separators_alone_is_a_row_too(path: Path):
    path.write_text('a,b\n,\n"x""y",2\n\n6" z,3\n')
    assert rows_of(path) == ([("", "", 1), ('x"y', "2", 2), ('6" z', "3", 3)], [])


PLAIN = st.text("ab1\"' .;", max_size=8).filter(lambda cell: not cell.startswith('"'))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), PLAIN, PLAIN), min_size=1, max_size=20),
    st.integers(16, 200),
)
def test_every_line_without_quoted_cells_is_its_own_row(
    path: Path, rows: list[tuple[str, str, str]], block: int
):
    path.write_text("x,y,z\n" + "".join(",".join(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK_BYTES", block)
        read, bad = rows_of(path)
    assert bad == []
    assert [tuple(cell or "" for cell in row[:3]) for row in read] == rows
