import json
from datetime import date

from markdown_it import MarkdownIt

from smartgrid_ml.mining.insights.page import (
    Evidence,
    Insight,
    Section,
    build_insight_rows,
    render_page,
)

DAY = date(2026, 11, 24)
STUCK = Insight(
    "Meter M-1_2",
    "has counted nothing at night since 3 November.",
    Evidence("inspections", {"meter_id": "M-1_2"}),
    subject_id="M-1_2",
    figure=42.0,
    unit="kWh a month",
)
SAG = Insight("S-3", "fell to 180 V.", Evidence("anomalies", {"subject_id": "S-3"}, partition=DAY))


def test_every_insight_is_a_row_with_its_evidence():
    rows = build_insight_rows(DAY, [Section("anomalies", "One.", [SAG]), Section("rules", "None.")])

    assert rows.to_dicts() == [
        {
            "day": DAY,
            "section": "anomalies",
            "position": 1,
            "subject_id": None,
            "title": "S-3",
            "sentence": "fell to 180 V.",
            "figure": None,
            "unit": None,
            "evidence_table": "anomalies",
            "evidence_partition": DAY,
            "evidence_key": json.dumps({"subject_id": "S-3"}),
        }
    ]


def test_the_page_says_first_how_things_stand_and_then_what_to_do_with_links():
    page = render_page(
        DAY,
        [
            Section("anomalies", "One in a week.", [SAG], ["![band](data:image/png;base64,AA==)"]),
            Section("inspections", "One meter, 42 kWh a month.", [STUCK]),
        ],
        ui="http://127.0.0.1:3000/",
    )

    assert page == (
        "# The grid up to Tuesday, 24 November 2026\n"
        "\n"
        "- **To inspect:** One meter, 42 kWh a month.\n"
        "- **Anomalies:** One in a week.\n"
        "\n"
        "## To inspect\n"
        "\n"
        "1. **Meter M-1\\_2** has counted nothing at night since 3 November. "
        "[Evidence](http://127.0.0.1:3000/assets/inspections)\n"
        "\n"
        "## Anomalies\n"
        "\n"
        "1. **S-3** fell to 180 V. "
        "[Evidence](http://127.0.0.1:3000/assets/anomalies?partition=2026-11-24)\n"
        "\n"
        "![band](data:image/png;base64,AA==)\n"
    )


def test_a_name_with_signs_of_markdown_stays_a_name():
    odd = Insight("a*b[c](d)<e>", "x_y_z", Evidence("rules", {}))

    html = MarkdownIt("commonmark", {"html": False}).render(
        render_page(DAY, [Section("rules", "", [odd])])
    )

    assert "<strong>a*b[c](d)&lt;e&gt;</strong> x_y_z" in html
