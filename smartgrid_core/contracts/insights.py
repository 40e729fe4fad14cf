"""Tables of what an operator should know: the page of a day, and each insight on it."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of

SECTIONS = ("inspections", "anomalies", "rules", "segments")
"""In the order in which they call for somebody to act."""


class Insights(dy.Schema):
    """One row per (day, section, position): one thing to know, the most pressing first.

    `day` is the last UTC day whose readings it rests on. `figure` is in `unit`. The evidence is
    the rows of table `evidence_table` that `evidence_key` (JSON) describes; `evidence_partition`
    is their UTC day, null for a table that is kept whole.
    """

    day = dy.Date(primary_key=True)
    section = one_of(*SECTIONS, primary_key=True)
    position = dy.Int32(primary_key=True, min=1)
    subject_id = identifier(nullable=True)
    title = dy.String()
    sentence = dy.String()
    figure = dy.Float64(nullable=True)
    unit = dy.String(nullable=True)
    evidence_table = identifier()
    evidence_partition = dy.Date(nullable=True)
    evidence_key = dy.String()


class InsightPages(dy.Schema):
    """One row per day: the page that people read, in Markdown with its pictures within."""

    day = dy.Date(primary_key=True)
    markdown = dy.String()
