from datetime import date

import polars as pl
import pytest

from smartgrid_cli.commands.insights import NoPageError, as_html, select_page

PAGES = pl.DataFrame(
    {"day": [date(2026, 11, 24), date(2026, 11, 23)], "markdown": ["# new", "# old"]}
)


def test_the_newest_page_is_shown_unless_a_day_is_named():
    assert select_page(PAGES, day=None) == "# new"
    assert select_page(PAGES, day=date(2026, 11, 23)) == "# old"


def test_a_day_without_a_page_names_the_days_that_have_one():
    with pytest.raises(NoPageError, match=r"no page of 2026-01-01; .* 2026-11-23, 2026-11-24"):
        select_page(PAGES, day=date(2026, 1, 1))


def test_no_page_at_all_says_how_to_come_by_one():
    with pytest.raises(NoPageError, match="mine_grid"):
        select_page(PAGES.clear(), day=None)


def test_a_forwarded_page_holds_its_pictures_and_runs_no_script():
    page = "# The grid <b>\n\n![a band](data:image/png;base64,AA==)\n\n<script>x</script>\n"

    html = as_html(page + "[go](javascript:alert) [see](http://127.0.0.1/assets/x)")

    assert '<img src="data:image/png;base64,AA==" alt="a band"' in html
    assert "<script>" not in html
    assert 'href="javascript' not in html
    assert 'href="http://127.0.0.1/assets/x"' in html
