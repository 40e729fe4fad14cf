"""Bars for places that show Markdown only."""

import base64

from smartgrid_ml.evaluation.picture import Bar, draw_bars, embed_in_markdown


def test_a_bar_is_cut_at_the_width_of_the_picture_and_has_its_text_behind_it():
    picture = draw_bars([Bar("a < b", 5.0, text="5 kW"), Bar("c", 1.0)], most=2.0)
    assert picture.count("<rect") == 2
    assert 'width="320.0"' in picture
    assert 'width="160.0"' in picture
    assert ">a &lt; b</text>" in picture
    assert picture.count(">5 kW</text>") == 1
    assert "<line" not in picture


def test_a_mark_is_a_line_with_its_name_below_the_bars():
    picture = draw_bars([Bar("a", 1.0)], most=2.0, mark=1.0, name="bound")
    assert '<line x1="350.0" x2="350.0" y1="0" y2="22"' in picture
    assert ">bound</text>" in picture


def test_where_nothing_is_longer_than_zero_bars_stay_visible_and_there_is_no_mark():
    picture = draw_bars([Bar("a", 0.0)], most=0.0, mark=1.0)
    assert 'width="1.0"' in picture
    assert "<line" not in picture


def test_a_picture_within_markdown_needs_no_file():
    text = embed_in_markdown("<svg/>", about="losses")
    assert text.startswith("![losses](data:image/svg+xml;base64,")
    assert base64.b64decode(text.rpartition(",")[2].removesuffix(")")) == b"<svg/>"
