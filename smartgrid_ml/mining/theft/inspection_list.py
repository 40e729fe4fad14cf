"""The list of what is worth a visit, with reasons that name their figures."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.inspections import Inspections
from smartgrid_core.time import HOUR, Window
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
"""How people say what the suspicious days look like, by pattern."""

FIRST_TIER, SECOND_TIER, THIRD_TIER = 0, 1, 2
"""Likely thefts; faults and nodes that miss energy; less likely thefts."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the list before it has a rank: first by tier, then the most worthwhile first."""

    tier: int
    worth: float
    """kWh in 30 days that a visit is expected to bring back, comparable within a tier."""
    columns: dict[str, Any]
    """Columns of `Inspections` but rank, judged_from and judged_to."""

    @property
    def subject_id(self) -> str:
        """The meter or node."""
        return str(self.columns["subject_id"])


def rank_inspections(
    suspects: pl.DataFrame | None,
    *,
    balance: pl.DataFrame,
    hours: pl.DataFrame,
    findings: pl.DataFrame,
    places: pl.DataFrame,
    judged: Window,
) -> dy.DataFrame[Inspections]:
    """Return rows of `Inspections`, at most MOST_INSPECTIONS, the most worthwhile first.

    First come meters that are more likely wrong than not, by probability times the energy that a
    visit would bring back; then faulty meters and nodes that miss energy without a suspect, by
    energy; then the less likely ones.

    Args:
        suspects: Rows of SUSPECT_SCHEMA of all batches; None if no model judged the meters.
        balance: Rows of `EnergyBalance` of the judged days.
        hours: The balances by hour, as `add_technical_losses` returns them.
        findings: Rows of `ReadingFindings`.
        places: Rows of `MeterPlaces`.
        judged: The judged instants.
    """
    suspects = pl.DataFrame(schema=SUSPECT_SCHEMA) if suspects is None else suspects
    faults = _list_meter_faults(findings, hours=hours, places=places, judged=judged)
    thefts = _list_suspects(_add_recovery(suspects), balance=balance)
    for entry in thefts:
        fault = faults.pop(entry.subject_id, None)
        if fault is not None:
            entry.columns["reason"] += f" {fault.columns['reason']}"
    nodes = _list_nodes(balance, places=places, suspects=suspects)
    listed = sorted(
        [*thefts, *faults.values(), *nodes],
        key=lambda entry: (entry.tier, -entry.worth, entry.subject_id),
    )
    rows = [
        {**entry.columns, "rank": rank, "judged_from": judged.start, "judged_to": judged.end}
        for rank, entry in enumerate(listed[:MOST_INSPECTIONS], start=1)
    ]
    frame = pl.DataFrame(rows, schema=Inspections.create_empty().schema)
    return Inspections.validate(frame, cast=True)


def _select_likely(suspects: pl.DataFrame) -> list[str]:
    return suspects.filter(pl.col("probability") >= LIKELY)["meter_id"].to_list()


def _add_recovery(suspects: pl.DataFrame) -> pl.DataFrame:
    """Return the suspects worth listing with `recoverable_kwh_month` and its `basis`.

    What a node misses beyond its band belongs to the likely suspects below it, by what each seems
    to hide; without a balance, or where it misses nothing, it is the gap to the meter's own past.
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


def _list_suspects(suspects: pl.DataFrame, *, balance: pl.DataFrame) -> list[_Entry]:
    kinds = dict(balance.select("node_id", "node_kind").unique().iter_rows())
    return [
        _Entry(
            FIRST_TIER if row["probability"] >= LIKELY else THIRD_TIER,
            row["probability"] * row["recoverable_kwh_month"],
            {
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
            },
        )
        for row in suspects.iter_rows(named=True)
    ]


def _compute_balance_score(row: dict[str, Any]) -> float | None:
    """Return the larger of both correlations with the energy that the node misses, -1 to 1."""
    names = ("follows_counted", "follows_gap")
    correlations = [row[name] for name in names if row[name] is not None]
    return float(min(max(*correlations, -1.0), 1.0)) if correlations else None


def _write_reason(row: dict[str, Any], *, node_kind: str) -> str:
    """Return the sentences about a suspect: its days, its node, what would come back."""
    since = f" since {row['suspected_since']}" if row["suspected_since"] else ""
    source = (
        f"what {row['node_id']} misses"
        if row["basis"] == "energy_balance"
        else "the meter's own past"
    )
    return (
        f"It {PATTERN_WORDS[row['pattern']]}{since}:"
        f" {_format_percent(row['night_share'])} at night and"
        f" {_format_percent(row['day_share'])} by day of what"
        f" its own past and its peers suggest ({row['days_judged']} days judged)."
        f" {_describe_balance(row, node_kind=node_kind)}"
        f" About {row['recoverable_kwh_month']:.0f} kWh in {MONTH_DAYS} days would come back, by"
        f" {source}. Probability {format_probability(row['probability'])} if one meter in"
        f" {1 / BASE_RATE:.0f} is wrong."
    )


def _describe_balance(row: dict[str, Any], *, node_kind: str) -> str:
    """Return the sentence about what a suspect's node misses."""
    if row["missing_kwh_day"] is None or row["follows_counted"] is None:
        return "No sensor above it has a balance that could confirm it."
    if row["missing_kwh_day"] <= row["band_kwh"]:
        return (
            f"Its {node_kind} {row['node_id']} misses {row['missing_kwh_day']:.2f} kWh a day,"
            f" within the usual {row['band_kwh']:.2f}: the balance does not confirm it."
        )
    correlation, followed = max(
        (row["follows_counted"], "what it still counts, within the same hour of the day"),
        (row["follows_gap"], "what it counts too little"),
    )
    return (
        f"Its {node_kind} {row['node_id']} misses {row['missing_kwh_day']:.2f} kWh a day where"
        f" {row['band_kwh']:.2f} is usual, and the missing energy moves with {followed}"
        f" (correlation {correlation:.2f})."
    )


def format_probability(probability: float) -> str:
    """Return the probability as text; too few thieves are known to tell 0.99 from more.

    >>> format_probability(0.5), format_probability(0.995)
    ('0.50', 'over 0.99')
    """
    return "over 0.99" if probability > 0.99 else f"{probability:.2f}"


def _format_percent(share: float | None) -> str:
    return "an unknown part" if share is None else f"{100 * share:.0f} %"


def _list_meter_faults(
    findings: pl.DataFrame, *, hours: pl.DataFrame, places: pl.DataFrame, judged: Window
) -> dict[str, _Entry]:
    """Return an entry per meter with faults of its own in the judged window, by meter_id.

    Args:
        findings: Rows of `ReadingFindings`.
        hours: The balances by hour, which say what a node missed during a fault.
        places: Rows of `MeterPlaces`.
        judged: The judged instants.
    """
    balanced = set(hours["node_id"].unique())
    spells = (
        findings.filter(
            pl.col("kind").is_in(list(METER_FAULTS)),
            pl.col("end_time") > judged.start,
            pl.col("start_time") < judged.end,
        )
        .join(places, left_on="subject_id", right_on="meter_id")
        .sort("subject_id", "start_time", "kind")
    )
    entries = {}
    for of_meter in spells.partition_by("subject_id", maintain_order=True):
        first = of_meter.row(0, named=True)
        node = next((first[kind] for kind in NEAREST_FIRST if first[kind] in balanced), None)
        entries[first["subject_id"]] = _build_fault_entry(of_meter, node=node, hours=hours)
    return entries


def _build_fault_entry(spells: pl.DataFrame, *, node: str | None, hours: pl.DataFrame) -> _Entry:
    """Return the entry of one faulty meter.

    ``spells``: its findings, in order of time; ``node``: the nearest node with a balance;
    ``hours``: the balances by hour.
    """
    first = spells.row(0, named=True)
    stood_still = spells.filter(pl.col("kind") == "stuck_value")
    lost_kwh = sum(
        _sum_missing_energy(hours, node=node, start=start, end=end)
        for start, end in stood_still.select("start_time", "end_time").iter_rows()
    )
    sentences = [
        f"From {fault['start_time']:%Y-%m-%d %H:%M} to {fault['end_time']:%Y-%m-%d %H:%M} UTC"
        f" {METER_FAULTS[fault['kind']]} ({fault['evidence']})."
        for fault in spells.iter_rows(named=True)
    ]
    if lost_kwh > 0:
        sentences.append(
            f"Meanwhile {node} missed {lost_kwh:.1f} kWh, which can be billed as an estimate."
        )
    sentences.append("It counts again; a fault that comes back costs again.")
    return _Entry(
        SECOND_TIER,
        lost_kwh,
        {
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
            "reason": " ".join(sentences),
        },
    )


def _sum_missing_energy(
    hours: pl.DataFrame, *, node: str | None, start: datetime, end: datetime
) -> float:
    """Return what a node missed in the hours that a spell touches, kWh, at least 0.

    Args:
        hours: The balances by hour.
        node: The node; None has no hours.
        start: Where the spell begins.
        end: Where it ends, not included.
    """
    touched = hours.filter(
        pl.col("node_id") == node,
        pl.col("hour_start") > start - HOUR,
        pl.col("hour_start") < end,
    )
    return max(0.0, float(touched["unexplained_kwh"].sum()))


def _list_nodes(
    balance: pl.DataFrame, *, places: pl.DataFrame, suspects: pl.DataFrame
) -> list[_Entry]:
    """Return nodes that miss energy on most days without a likely suspect below, lowest only."""
    missing = _find_missing_nodes(balance)
    explained = _find_explained_nodes(
        set(missing["node_id"]), places=places, likely=_select_likely(suspects)
    )
    return [
        _Entry(
            SECOND_TIER,
            MONTH_DAYS * row["kwh_day"],
            {
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
                "reason": f"It misses {row['kwh_day']:.2f} kWh a day where {row['band']:.2f} is"
                f" usual, on {row['beyond']} of {row['days']} days, and no meter below it stands"
                " out: an unmetered connection, a meter on the wrong node of the tree, or a sensor"
                " that is off.",
            },
        )
        for row in missing.sort("node_id").iter_rows(named=True)
        if row["node_id"] not in explained
    ]


def _find_missing_nodes(balance: pl.DataFrame) -> pl.DataFrame:
    """Return nodes that miss energy on most of their days, of rows of `EnergyBalance`.

    `beyond` of `days` are beyond the band; `kwh_day` and `band` are kWh a day.
    """
    return (
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


def _find_explained_nodes(
    missing: set[str], *, places: pl.DataFrame, likely: list[str]
) -> set[str | None]:
    """Return the nodes whose loss is explained by a likely suspect or by a node below.

    ``missing``: nodes that miss energy; ``places``: rows of `MeterPlaces`; ``likely``: meter_ids of
    the likely suspects.
    """
    above = places.select("meter_id", *NEAREST_FIRST)
    explained: set[str | None] = set()
    for meter_id in likely:
        explained.update(above.filter(pl.col("meter_id") == meter_id).row(0)[1:])
    unexplained = missing - explained
    for row in above.select(NEAREST_FIRST).unique().iter_rows():
        lowest = next((node for node in row if node in unexplained), None)
        if lowest is not None:
            explained.update(row[row.index(lowest) + 1 :])
    return explained


def rank_planted_thefts(
    inspections: pl.DataFrame, *, planted: pl.DataFrame, judged: Window
) -> pl.DataFrame:
    """Return where planted thefts stand on the list: subject_id, rank (null: nowhere).

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
