"""The list of what is worth a visit, with reasons that name their figures."""

from datetime import datetime, timedelta
from typing import Any

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.inspections import Inspections
from smartgrid_core.time import Window
from smartgrid_ml.mining.theft.balance_evidence import NEAREST_FIRST
from smartgrid_ml.mining.theft.meter_probability import BASE_RATE, LIKELY
from smartgrid_ml.mining.theft.suspects import SUSPECT_SCHEMA

MOST_INSPECTIONS = 200
"""What a crew can look through; the rest is in no order that anybody would follow."""

LEAST_PROBABILITY = 0.2
"""One visit in five finds something; below that a crew has better things to do."""

MONTH_DAYS = 30

METER_FAULTS = {
    "stuck_value": "the register stood still",
    "unit_slip": "the meter sent another unit than it said",
    "backward_step": "the register fell back",
    "register_reset": "the register began anew from zero",
}
"""Findings that are faults of a meter itself, and how people say so."""

PATTERN_WORDS = {
    "low_at_night": "counts little between 22:00 and 5:00",
    "low_all_day": "counts less than it should all day",
    "nothing_for_hours": "counts nothing for hours on end",
    "too_even": "counts nearly the same in every hour",
    "unlike_its_past": "counts in another rhythm than before",
}


def rank_inspections(
    suspects: pl.DataFrame | None,
    *,
    balance: pl.DataFrame,
    hours: pl.DataFrame,
    findings: pl.DataFrame,
    places: pl.DataFrame,
    judged: Window,
) -> dy.DataFrame[Inspections]:
    """Rows of `Inspections`, the most worthwhile first.

    ``suspects``: as `suspects` gives them, of all batches, None if no model judged; ``balance``:
    rows of `EnergyBalance` of the judged days; ``hours``: of `with_losses`; ``findings``: of
    `ReadingFindings`; ``places``: of `MeterPlaces`.

    First come meters that are more likely wrong than not, by probability times the energy that a
    visit would bring back; then faulty meters and nodes that miss energy without a suspect, by
    energy; then the less likely ones.
    """
    suspects = pl.DataFrame(schema=SUSPECT_SCHEMA) if suspects is None else suspects
    faults = _list_meter_faults(findings, hours=hours, places=places, judged=judged)
    of_suspects = _list_suspects(_add_recovery(suspects), balance=balance)
    for row in of_suspects:
        fault = faults.pop(row["subject_id"], None)
        if fault is not None:
            row["reason"] += f" {fault['reason']}"
    listed = [
        *of_suspects,
        *faults.values(),
        *_list_nodes(balance, places=places, suspects=suspects),
    ]
    listed.sort(key=lambda row: (row["tier"], -row["worth"], row["subject_id"]))
    rows = [
        {
            **{name: value for name, value in row.items() if name not in ("tier", "worth")},
            "rank": rank,
            "judged_from": judged.start,
            "judged_to": judged.end,
        }
        for rank, row in enumerate(listed[:MOST_INSPECTIONS], start=1)
    ]
    frame = pl.DataFrame(rows, schema=Inspections.create_empty().schema)
    return Inspections.validate(frame, cast=True)


def _select_likely(suspects: pl.DataFrame) -> list[str]:
    return suspects.filter(pl.col("probability") >= LIKELY)["meter_id"].to_list()


def _add_recovery(suspects: pl.DataFrame) -> pl.DataFrame:
    """With `recoverable_kwh_month` and its `basis`.

    What a node misses beyond its band belongs to the likely suspects below it, by what each seems
    to hide; without a balance, or where it misses nothing, a meter's own past has to say it.
    """
    gap = pl.max_horizontal("gap_kwh_day", pl.lit(0.0))
    is_likely = pl.col("probability") >= LIKELY
    hidden = pl.when(is_likely).then(gap.clip(lower_bound=1e-6))
    share = (hidden / hidden.sum().over("node_id")).fill_null(1.0)
    by_node = pl.col("missing_kwh_day") > pl.col("band_kwh")
    return suspects.filter(pl.col("probability") >= LEAST_PROBABILITY).with_columns(
        recoverable_kwh_month=MONTH_DAYS
        * pl.when(by_node)
        .then(pl.when(is_likely).then(pl.col("missing_kwh_day") * share))
        .otherwise(pl.lit(None))
        .fill_null(gap),
        basis=pl.when(by_node & is_likely)
        .then(pl.lit("energy_balance"))
        .otherwise(pl.lit("own_past")),
    )


def _list_suspects(suspects: pl.DataFrame, *, balance: pl.DataFrame) -> list[dict[str, Any]]:
    kinds = dict(balance.select("node_id", "node_kind").unique().iter_rows())
    return [
        {
            "tier": 0 if row["probability"] >= LIKELY else 2,
            "worth": row["probability"] * row["recoverable_kwh_month"],
            "subject_id": row["meter_id"],
            "subject_kind": "meter",
            "suspicion": "theft",
            "pattern": row["pattern"],
            "probability": row["probability"],
            "theft_score": row["theft_score"],
            "balance_score": _compute_balance_score(row),
            "node_id": row["node_id"],
            "suspected_since": row["suspected_since"],
            "days_judged": row["days_judged"],
            "recoverable_kwh_month": row["recoverable_kwh_month"],
            "basis": row["basis"],
            "reason": _write_reason(row, node_kind=kinds.get(row["node_id"], "node")),
        }
        for row in suspects.iter_rows(named=True)
    ]


def _compute_balance_score(row: dict[str, Any]) -> float | None:
    said = [row[name] for name in ("follows_counted", "follows_gap") if row[name] is not None]
    return float(min(max(*said, -1.0), 1.0)) if said else None


def _write_reason(row: dict[str, Any], *, node_kind: str) -> str:
    since = f" since {row['suspected_since']}" if row["suspected_since"] else ""
    sentences = [
        f"It {PATTERN_WORDS[row['pattern']]}{since}:"
        f" {_format_percent(row['night_share'])} at night and "
        f"{_format_percent(row['day_share'])} by day of what"
        f" its own past and its peers suggest ({row['days_judged']} days judged)."
    ]
    if row["missing_kwh_day"] is None or row["follows_counted"] is None:
        sentences.append("No sensor above it has a balance that could confirm it.")
    elif row["missing_kwh_day"] <= row["band_kwh"]:
        sentences.append(
            f"Its {node_kind} {row['node_id']} misses {row['missing_kwh_day']:.2f} kWh a day,"
            f" within the usual {row['band_kwh']:.2f}: the balance does not confirm it."
        )
    else:
        follows, what = max(
            (
                row["follows_counted"],
                "what it still counts, within the same hour of the day",
            ),
            (row["follows_gap"], "what it counts too little"),
        )
        sentences.append(
            f"Its {node_kind} {row['node_id']} misses {row['missing_kwh_day']:.2f} kWh a day where"
            f" {row['band_kwh']:.2f} is usual, and the missing energy moves with {what}"
            f" (correlation {follows:.2f})."
        )
    source = (
        f"what {row['node_id']} misses"
        if row["basis"] == "energy_balance"
        else "the meter's own past"
    )
    sentences.append(
        f"About {row['recoverable_kwh_month']:.0f} kWh in {MONTH_DAYS} days would come back, by"
        f" {source}. Probability {format_probability(row['probability'])} if one meter in"
        f" {1 / BASE_RATE:.0f} is wrong."
    )
    return " ".join(sentences)


def format_probability(probability: float) -> str:
    """Nobody has seen enough thieves to tell 0.99 from more."""
    return "over 0.99" if probability > 0.99 else f"{probability:.2f}"


def _format_percent(share: float | None) -> str:
    return "an unknown part" if share is None else f"{100 * share:.0f} %"


def _list_meter_faults(
    findings: pl.DataFrame, *, hours: pl.DataFrame, places: pl.DataFrame, judged: Window
) -> dict[str, dict[str, Any]]:
    """A row per meter with faults of its own in the judged window, by meter_id."""
    nodes = set(hours["node_id"].unique())
    spells = (
        findings.filter(
            pl.col("kind").is_in(list(METER_FAULTS)),
            pl.col("end_time") > judged.start,
            pl.col("start_time") < judged.end,
        )
        .join(places, left_on="subject_id", right_on="meter_id")
        .sort("subject_id", "start_time", "kind")
    )
    rows: dict[str, dict[str, Any]] = {}
    for of_meter in spells.partition_by("subject_id", maintain_order=True):
        first = of_meter.row(0, named=True)
        node = next((first[kind] for kind in NEAREST_FIRST if first[kind] in nodes), None)
        stood = of_meter.filter(pl.col("kind") == "stuck_value")
        lost = sum(
            _sum_missing_energy(hours, node=node, start=start, end=end)
            for start, end in stood.select("start_time", "end_time").iter_rows()
        )
        told = [
            f"From {fault['start_time']:%Y-%m-%d %H:%M} to {fault['end_time']:%Y-%m-%d %H:%M} UTC"
            f" {METER_FAULTS[fault['kind']]} ({fault['evidence']})."
            for fault in of_meter.iter_rows(named=True)
        ]
        if lost > 0:
            told.append(
                f"Meanwhile {node} missed {lost:.1f} kWh, which can be billed as an estimate."
            )
        rows[first["subject_id"]] = {
            "tier": 1,
            "worth": lost,
            "subject_id": first["subject_id"],
            "subject_kind": "meter",
            "suspicion": "meter_fault",
            "pattern": first["kind"],
            "probability": None,
            "theft_score": None,
            "balance_score": None,
            "node_id": node,
            "suspected_since": first["start_time"].date(),
            "days_judged": 0,
            "recoverable_kwh_month": 0.0,
            "basis": "reading_findings",
            "reason": " ".join([*told, "It counts again; a fault that comes back costs again."]),
        }
    return rows


def _sum_missing_energy(
    hours: pl.DataFrame, *, node: str | None, start: datetime, end: datetime
) -> float:
    """What a node missed in the hours that a spell touches, kWh; none if it did not miss any."""
    touched = hours.filter(
        pl.col("node_id") == node,
        pl.col("hour_start") > start - timedelta(hours=1),
        pl.col("hour_start") < end,
    )
    return max(0.0, float(touched["unexplained_kwh"].sum()))


def _list_nodes(
    balance: pl.DataFrame, *, places: pl.DataFrame, suspects: pl.DataFrame
) -> list[dict[str, Any]]:
    """Nodes that miss energy on most days, with nobody likely below, the lowest ones only."""
    missing = (
        balance.filter(pl.col("unexplained_kwh").is_not_null())
        .group_by("node_id", "node_kind")
        .agg(
            beyond=pl.col("is_beyond").sum(),
            days=pl.len(),
            kwh_day=pl.col("unexplained_kwh").mean(),
            band=pl.col("band_kwh").median(),
            since=pl.col("day").filter("is_beyond").min(),
        )
        .filter(2 * pl.col("beyond") > pl.col("days"))
    )
    above = places.select("meter_id", *NEAREST_FIRST)
    explained: set[str | None] = set()
    for meter_id in _select_likely(suspects):
        explained.update(above.filter(pl.col("meter_id") == meter_id).row(0)[1:])
    explains = {node for node in missing["node_id"] if node not in explained}
    for row in above.select(NEAREST_FIRST).unique().iter_rows():
        lowest = next((node for node in row if node in explains), None)
        if lowest is not None:
            explained.update(row[row.index(lowest) + 1 :])
    return [
        {
            "tier": 1,
            "worth": MONTH_DAYS * row["kwh_day"],
            "subject_id": row["node_id"],
            "subject_kind": row["node_kind"],
            "suspicion": "unexplained_loss",
            "pattern": "unexplained_loss",
            "probability": None,
            "theft_score": None,
            "balance_score": None,
            "node_id": row["node_id"],
            "suspected_since": row["since"],
            "days_judged": row["days"],
            "recoverable_kwh_month": MONTH_DAYS * row["kwh_day"],
            "basis": "energy_balance",
            "reason": f"It misses {row['kwh_day']:.2f} kWh a day where {row['band']:.2f} is usual,"
            f" on {row['beyond']} of {row['days']} days, and no meter below it stands out: an"
            " unmetered connection, a meter on the wrong node of the tree, or a sensor that is"
            " off.",
        }
        for row in missing.sort("node_id").iter_rows(named=True)
        if row["node_id"] not in explained
    ]


def rank_planted_thefts(
    inspections: pl.DataFrame, *, planted: pl.DataFrame, judged: Window
) -> pl.DataFrame:
    """Where planted thefts stand on the list: columns subject_id, rank (null: nowhere).

    ``inspections``: rows of `Inspections`; ``planted``: of `PlantedFaults`, of which thefts count
    that went on for at least half of the judged window.
    """
    overlap = pl.min_horizontal("end_time", pl.lit(judged.end)) - pl.max_horizontal(
        "start_time", pl.lit(judged.start)
    )
    return (
        planted.filter(pl.col("kind") == "theft", overlap >= (judged.end - judged.start) / 2)
        .join(inspections.select("subject_id", "rank"), on="subject_id", how="left")
        .select("subject_id", "rank")
        .sort("subject_id")
    )
