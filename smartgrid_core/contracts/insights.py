"""Tables of what an operator should know: the page of a day, and each insight on it."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of

SECTIONS = ("inspections", "anomalies", "rules", "segments")
"""In the order in which they call for somebody to act."""


class Insights(dy.Schema):
    """One row per (day, section, position): one thing to know, the most pressing first.

    The evidence is the rows of table `evidence_table` that `evidence_key` describes.
    """

    day = dy.Date(primary_key=True, description="The last UTC day whose readings it rests on.")
    section = one_of(*SECTIONS, primary_key=True, description="Part of the page.")
    position = dy.Int32(
        primary_key=True,
        min=1,
        description="Place within the section, from 1, the most pressing first.",
    )
    subject_id = identifier(
        nullable=True,
        description="The meter, node, feeder, sensor or segment that it is about; null for none.",
    )
    title = dy.String(description="Names it, for people.")
    sentence = dy.String(description="What it is, how much, and why it matters.")
    figure = dy.Float64(nullable=True, description="How much, in `unit`; null without a figure.")
    unit = dy.String(
        nullable=True, description="Unit of `figure`, in words; null without a figure."
    )
    evidence_table = identifier(description="The table, and asset, on whose rows it rests.")
    evidence_partition = dy.Date(
        nullable=True, description="UTC day of these rows; null for a table that is kept whole."
    )
    evidence_key = dy.String(description="Values of columns that these rows have, as JSON.")


class InsightPages(dy.Schema):
    """One row per day: the page that people read."""

    day = dy.Date(
        primary_key=True, description="The last UTC day whose readings the page rests on."
    )
    markdown = dy.String(description="The page in Markdown, with its pictures within.")
