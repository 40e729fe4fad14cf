"""Tables and pictures within Markdown."""

import base64

from smartgrid_core.markdown import embed_picture, render_table


def test_what_would_end_a_cell_stays_within_it():
    table = render_table(["model", "error"], [("F|1", "first\r\nsecond | third")])
    assert table.splitlines() == [
        "| model | error |",
        "|---|---|",
        "| F\\|1 | first second \\| third |",
    ]


def test_a_table_without_rows_is_its_head():
    assert render_table(["a"], []) == "| a |\n|---|"


def test_an_unknown_value_is_an_empty_cell():
    assert render_table(["a", "b"], [(None, 0)]).splitlines()[-1] == "|  | 0 |"


def test_a_picture_is_held_by_the_text_itself():
    text = embed_picture(b"\x00\xff", kind="png", about="noise")
    assert text.startswith("![noise](data:image/png;base64,")
    assert base64.b64decode(text.partition("base64,")[2].rstrip(")")) == b"\x00\xff"
