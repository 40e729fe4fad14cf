"""The rows of each mined table that call for somebody to act, as insights of the page."""

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from smartgrid_ml.mining.anomalies.report import sort_worst_first
from smartgrid_ml.mining.insights.page import Evidence, Insight, Section

MOST_INSIGHTS = 5
"""Insights of a section; the tables hold the rest."""

RECENT = timedelta(days=7)
"""Anomalies of the last week: older ones were on the pages before."""


def select_inspections(inspections: pl.DataFrame, *, pictures: Sequence[str] = ()) -> Section:
    """Return the section of places worth a visit and what a mend would bring back.

    ``inspections``: rows of `Inspections`; ``pictures``: Markdown images, here as below.
    """
    listed = inspections.sort("rank")
    month = float(listed["recoverable_kwh_month"].sum() or 0.0)
    insights = [
        Insight(
            f"{row['subject_kind'].capitalize()} {row['subject_id']}:",
            row["reason"],
            Evidence("inspections", {"subject_id": row["subject_id"]}),
            subject_id=row["subject_id"],
            figure=row["recoverable_kwh_month"],
            unit="kWh per 30 days",
        )
        for row in listed.head(MOST_INSIGHTS).iter_rows(named=True)
    ]
    lead = (
        f"{_format_count(listed.height, 'place is', 'places are')} worth a visit; "
        f"mending them would bring back about {month:,.0f} kWh in 30 days."
        if insights
        else "Nobody calls for a visit."
    )
    return Section("inspections", lead, insights, tuple(pictures))


def select_anomalies(
    anomalies: pl.DataFrame, *, day: date, pictures: Sequence[str] = ()
) -> Section:
    """Return the section of the strongest anomalies of the week up to `day`.

    ``anomalies``: rows of `Anomalies`.
    """
    recent = select_recent(anomalies, day=day)
    kinds = recent.group_by("kind").len().sort("len", "kind", descending=[True, False])
    insights = [
        Insight(
            f"{row['subject_id']} {row['quantity']}, {row['kind'].replace('_', ' ')} since "
            f"{row['start_time']:%a %d %b %H:%M} UTC:",
            row["reason"],
            Evidence(
                "anomalies",
                {
                    "subject_id": row["subject_id"],
                    "quantity": row["quantity"],
                    "start_time": row["start_time"].isoformat(),
                },
                partition=row["start_time"].date(),
            ),
            subject_id=row["subject_id"],
            figure=row["score"],
            unit="score",
        )
        for row in recent.head(MOST_INSIGHTS).iter_rows(named=True)
    ]
    by_kind = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in kinds.iter_rows())
    lead = (
        f"{_format_count(recent.height, 'anomaly', 'anomalies')} in seven days ({by_kind})."
        if insights
        else "None in seven days."
    )
    return Section("anomalies", lead, insights, tuple(pictures))


def select_recent(anomalies: pl.DataFrame, *, day: date) -> pl.DataFrame:
    """Return rows of `Anomalies` that touch the seven days up to `day`, the worst first."""
    return sort_worst_first(
        anomalies.filter(
            pl.col("end_time").dt.date() > day - RECENT, pl.col("start_time").dt.date() <= day
        )
    )


def select_rules(
    rules: pl.DataFrame, changes: pl.DataFrame, *, pictures: Sequence[str] = ()
) -> Section:
    """Return the section of the strongest rules and how they move.

    ``rules``: rows of `EventRules` of a day; ``changes``: of `EventRuleChanges` of that day.
    """
    key = ["feeder_id", "antecedent", "consequent"]
    moved = changes.select(*key, "change")
    listed = rules.join(moved, on=key, how="left").sort("rank")
    insights = [
        Insight(
            f"Feeder {row['feeder_id']}:",
            row["sentence"] + _describe_change(row["change"]),
            Evidence("event_rules", {name: row[name] for name in ("day", *key)}),
            subject_id=row["feeder_id"],
            figure=row["lift"],
            unit="lift",
        )
        for row in listed.head(MOST_INSIGHTS).iter_rows(named=True)
    ]
    counts = dict(changes.group_by("change").len().iter_rows())
    by_change = ", ".join(
        f"{counts[change]} {change}"
        for change in ("new", "gone", "stronger", "weaker")
        if counts.get(change)
    )
    lead = (
        f"{_format_count(listed.height, 'rule', 'rules')} that chance does not explain"
        f"{f' ({by_change})' if by_change else ''}."
        if insights
        else "No rule that chance would not explain."
    )
    return Section("rules", lead, insights, tuple(pictures))


def select_segments(
    history: pl.DataFrame, outliers: pl.DataFrame, *, pictures: Sequence[str] = ()
) -> Section:
    """Return the section of the segments and the oddest meter.

    ``history``: rows of `SegmentHistory` of one day; ``outliers``: of `ConsumerOutliers`.
    """
    present = history.filter(pl.col("meters") > 0).sort(
        "meters", "segment_id", descending=[True, False]
    )
    insights = [
        Insight(
            f"{row['segment_name']}:",
            _describe_segment(row),
            Evidence("consumer_segments", {"segment_id": row["segment_id"]}),
            subject_id=row["segment_id"],
            figure=float(row["meters"]),
            unit="meters",
        )
        for row in present.iter_rows(named=True)
    ]
    oddest_first = outliers.sort("score", "meter_id", descending=[True, False])
    if oddest_first.height:
        first = oddest_first.row(0, named=True)
        insights.append(
            Insight(
                f"{_format_count(oddest_first.height, 'meter', 'meters')} like no other:",
                f"the oddest is {first['meter_id']}: {first['reason']}",
                Evidence("consumer_outliers", {"meter_id": first["meter_id"]}),
                subject_id=first["meter_id"],
                figure=float(oddest_first.height),
                unit="meters",
            )
        )
    n_new = present.filter(pl.col("state") == "new").height
    lead = (
        f"{int(present['meters'].sum())} meters in "
        f"{_format_count(present.height, 'segment', 'segments')}, {n_new} of them new; "
        f"{oddest_first.height} outliers."
        if present.height
        else "No segments yet."
    )
    return Section("segments", lead, insights, tuple(pictures))


def _describe_segment(row: dict[str, object]) -> str:
    return (
        f"{row['meters']} meters ({row['share']:.0%}), {row['mean_kw']:.2f} kW on average, "
        f"highest at {row['peak_hour']}:00, {row['night_share']:.0%} of their energy from midnight "
        f"to six, {row['weekend_share']:.0%} at weekends; {row['state']}."
    )


def _describe_change(change: str | None) -> str:
    sentences = {
        "new": " It was no rule before.",
        "stronger": " It became stronger.",
        "weaker": " It became weaker.",
    }
    return sentences.get(change or "", "")


def _format_count(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"
