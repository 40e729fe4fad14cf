"""What `smartgrid land` says of a file, and whether it was of use."""

from rich.text import Text

from smartgrid_cli.commands.land import describe_report
from smartgrid_io.landing.report import LandingReport, Refusal

FAULT = Refusal("unparsable_number", 3, "reading: 12,5 needs SMARTGRID_LANDING_DECIMAL_COMMA=true")


def plain(report: LandingReport) -> str:
    return Text.from_markup(describe_report(report)).plain


def test_a_landing_says_what_became_of_the_rows_and_how_to_mend_the_refused():
    report = LandingReport(
        "a.csv", "", "landed", "meter_readings", 9, 5, 2, rows_refused=3, refusals=(FAULT,)
    )
    assert plain(report) == (
        "a.csv: 5 rows into meter_readings: 2 new, 0 changed, 0 repeated, 3 refused; "
        "0 days touched; unparsable_number (3): "
        "reading: 12,5 needs SMARTGRID_LANDING_DECIMAL_COMMA=true"
    )
    assert not report.is_refused_whole


def test_a_file_without_a_single_good_row_was_of_no_use():
    report = LandingReport("a.csv", "", "landed", "meter_readings", rows_read=3, rows_refused=3)
    assert report.is_refused_whole
    assert describe_report(report).startswith("[red]")


def test_what_was_refused_before_is_said_with_the_way_to_land_it_again():
    some = LandingReport(
        "a[b].csv",
        "",
        "already_landed",
        "meter_readings",
        rows_read=5,
        rows_refused=3,
        refusals=(FAULT,),
    )
    assert plain(some) == (
        "a[b].csv: landed before, when 3 of 5 rows were refused; unparsable_number (3): "
        "reading: 12,5 needs SMARTGRID_LANDING_DECIMAL_COMMA=true; "
        "mend that, then `smartgrid land --again a[b].csv`"
    )
    whole = LandingReport("a.csv", "", "already_landed", message="a.csv: no header")
    assert plain(whole) == (
        "a.csv: refused before: a.csv: no header; mend that, then `smartgrid land --again a.csv`"
    )
    good = LandingReport("a.csv", "", "already_landed", "weather", rows_read=5)
    assert plain(good) == "a.csv: landed before, nothing to do"
